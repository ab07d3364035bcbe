"""AlgoPerf's vocabulary (Dahl et al. 2023, arXiv 2306.07179): enums, aliases, and the functions of a submission."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any


class LossType(enum.Enum):
    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ForwardPassMode(enum.Enum):
    TRAIN = 0
    EVAL = 1


class ParameterType(enum.Enum):
    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class ShapeTuple:
    """A shape that tree maps treat as one leaf (a plain tuple would be taken for a container)."""

    def __init__(self, shape: Iterable[int]) -> None:
        self.shape_tuple = tuple(shape)

    def __repr__(self) -> str:
        return f"ShapeTuple({self.shape_tuple})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeTuple) and self.shape_tuple == other.shape_tuple

    def __hash__(self) -> int:
        return hash(self.shape_tuple)


class TrainingCompleteError(Exception):
    """Raised by ``update_params`` when the submission has nothing left to do; ends the trial after one evaluation."""


Tensor = Any
Shape = tuple[int, ...]
ParameterShapeTree = Any
ParameterKey = str
ParameterContainer = Any
ParameterTypeTree = Any
RandomState = Any
OptimizerState = Any
Hyperparameters = Any
Timing = float
Steps = int
ModelAuxiliaryState = Any
ModelInitState = tuple[ParameterContainer, ModelAuxiliaryState]
UpdateReturn = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]

SUBMISSION_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "init_optimizer_state": ("workload", "model_params", "model_state", "hyperparameters", "rng"),
    "update_params": (
        "workload",
        "current_param_container",
        "current_params_types",
        "model_state",
        "hyperparameters",
        "batch",
        "loss_type",
        "optimizer_state",
        "eval_results",
        "global_step",
        "rng",
    ),
    "data_selection": (
        "workload",
        "input_queue",
        "optimizer_state",
        "current_param_container",
        "model_state",
        "hyperparameters",
        "global_step",
        "rng",
    ),
    "get_batch_size": ("workload_name",),
}
"""Functions that every submission must define, with AlgoPerf's argument names."""

OPTIONAL_SUBMISSION_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "prepare_for_eval": (
        "workload",
        "current_param_container",
        "current_params_types",
        "model_state",
        "hyperparameters",
        "loss_type",
        "optimizer_state",
        "eval_results",
        "global_step",
        "rng",
    ),
    "init_model_params": ("workload", "model_params", "model_state", "hyperparameters", "input_queue", "rng"),
    "get_eval_batch_size": ("workload_name",),
}
"""Functions that a submission may define. ``update_params`` may also take ``train_state``."""

TRACKS = ("algoperf", "initializers", "finetuning", "open")
"""What a submission may change: the training algorithm, the initial parameters too, a given start, or anything."""
