"""``algoperf.spec``: timetrial's own contract, under AlgoPerf's name, with the aliases of submission functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.interface import (
    ForwardPassMode,
    Hyperparameters,
    LossType,
    ModelAuxiliaryState,
    ModelInitState,
    OptimizerState,
    ParameterContainer,
    ParameterKey,
    ParameterShapeTree,
    ParameterType,
    ParameterTypeTree,
    RandomState,
    Shape,
    ShapeTuple,
    Steps,
    Tensor,
    Timing,
    TrainingCompleteError,
    UpdateReturn,
)
from harness.spec import Workload

InitOptimizerFn = Callable[..., OptimizerState]
UpdateParamsFn = Callable[..., UpdateReturn]
PrepareForEvalFn = Callable[..., UpdateReturn]
DataSelectionFn = Callable[..., Any]

__all__ = [
    "DataSelectionFn",
    "ForwardPassMode",
    "Hyperparameters",
    "InitOptimizerFn",
    "LossType",
    "ModelAuxiliaryState",
    "ModelInitState",
    "OptimizerState",
    "ParameterContainer",
    "ParameterKey",
    "ParameterShapeTree",
    "ParameterType",
    "ParameterTypeTree",
    "PrepareForEvalFn",
    "RandomState",
    "Shape",
    "ShapeTuple",
    "Steps",
    "Tensor",
    "Timing",
    "TrainingCompleteError",
    "UpdateParamsFn",
    "UpdateReturn",
    "Workload",
]
