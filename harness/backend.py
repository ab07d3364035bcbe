"""What a workload is given from outside: a framework, and a part of its training pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.declarations import Framework, Parameter
from harness.interface import (
    ForwardPassMode,
    LossType,
    ModelAuxiliaryState,
    ModelInitState,
    ParameterContainer,
    ParameterShapeTree,
    ParameterTypeTree,
    RandomState,
    Tensor,
)

if TYPE_CHECKING:
    from harness.spec import Workload


class Backend(Protocol):
    """What a framework module (``harness/frameworks``) does for a workload."""

    framework: Framework

    def init_model(self, workload: Workload, rng: RandomState, dropout_rate: float | None) -> ModelInitState: ...

    def apply_model(
        self,
        workload: Workload,
        params: ParameterContainer,
        batch: Mapping[str, Tensor],
        model_state: ModelAuxiliaryState,
        mode: ForwardPassMode,
        rng: RandomState,
        update_batch_norm: bool | None,
        dropout_rate: Any,
    ) -> tuple[Tensor, ModelAuxiliaryState]:
        """``update_batch_norm`` is None where training is to use the running statistics."""
        ...

    def output_activation(self, loss_type: LossType, logits: Tensor) -> Tensor: ...

    def loss(
        self, loss_type: LossType, labels: Tensor, logits: Tensor, mask: Tensor | None, label_smoothing: Any
    ) -> dict[str, Tensor]: ...

    def shapes_and_types(self, workload: Workload) -> tuple[ParameterShapeTree, ParameterTypeTree]: ...

    def parameter_key(self, parameter: Parameter) -> str: ...

    def export_parameters(self, workload: Workload, params: ParameterContainer) -> dict[str, np.ndarray]: ...

    def import_parameters(
        self, workload: Workload, params: ParameterContainer, values: Mapping[str, np.ndarray]
    ) -> ParameterContainer: ...

    def export_statistics(
        self, workload: Workload, params: ParameterContainer, model_state: ModelAuxiliaryState
    ) -> dict[str, np.ndarray]: ...

    def import_statistics(
        self,
        workload: Workload,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        values: Mapping[str, np.ndarray],
    ) -> ModelAuxiliaryState: ...

    def layer_outputs(
        self, workload: Workload, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Mapping
    ) -> dict[str, np.ndarray]: ...


class Resampling(Protocol):
    """A part of the training pool to train on, and one to validate on; see :mod:`harness.resampling`."""

    @property
    def train_fraction(self) -> float: ...

    @property
    def as_option(self) -> str: ...

    def indices(self, workload: Workload) -> tuple[np.ndarray, np.ndarray]: ...
