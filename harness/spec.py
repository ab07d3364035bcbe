"""The contract between the harness, workloads and submissions.

Names, arguments and return values of the submission interface are AlgoPerf's (Dahl et al. 2023, arXiv 2306.07179),
so that an entry written for AlgoPerf runs here as it is; ``init_model_params`` is timetrial's own addition.
Workloads and submissions import this module and their framework, nothing else of the project's harness.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from harness.backend import Backend, Resampling
from harness.capture import capture_layers, is_capturing, record_layer
from harness.data_events import announced, generates, loads_split
from harness.declarations import (
    BASE,
    FRAMEWORKS,
    Direction,
    EvalBatch,
    Framework,
    InitLaw,
    Metric,
    Parameter,
    Scale,
    Settings,
    Statistic,
    Target,
    Variant,
    WorkloadError,
)
from harness.errors import suggestion
from harness.interface import (
    OPTIONAL_SUBMISSION_FUNCTIONS,
    SUBMISSION_FUNCTIONS,
    TRACKS,
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
from harness.recorded_targets import recorded_target, target_records, targets_path

__all__ = [
    "BASE",
    "FRAMEWORKS",
    "OPTIONAL_SUBMISSION_FUNCTIONS",
    "SUBMISSION_FUNCTIONS",
    "TRACKS",
    "Backend",
    "Direction",
    "EvalBatch",
    "ForwardPassMode",
    "Framework",
    "Hyperparameters",
    "InitLaw",
    "InputQueue",
    "LossType",
    "Metric",
    "ModelAuxiliaryState",
    "ModelInitState",
    "OptimizerState",
    "Parameter",
    "ParameterContainer",
    "ParameterKey",
    "ParameterShapeTree",
    "ParameterType",
    "ParameterTypeTree",
    "RandomState",
    "Resampling",
    "Scale",
    "Settings",
    "Shape",
    "ShapeTuple",
    "Statistic",
    "Steps",
    "Target",
    "Tensor",
    "Timing",
    "TrainingCompleteError",
    "UpdateReturn",
    "Variant",
    "Workload",
    "WorkloadError",
    "capture_layers",
    "is_capturing",
    "record_layer",
    "suggestion",
    "target_records",
    "targets_path",
]


_ANNOUNCED: Mapping[str, Callable[..., str]] = {
    "load_split": lambda workload, split: loads_split(split),
    "generate": generates,
}
"""Methods that hand out data, and how the watch tells of it."""


class Workload(abc.ABC):
    """What is trained. A folder ``workloads/<name>/workload.py`` defines one subclass; its class attributes and the
    abstract methods are framework-neutral numpy. The harness binds a framework, and hands the object to submissions,
    which see AlgoPerf's attributes and methods. Compared and hashed by identity (jax entries pass it as a static
    argument).
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever a change could move a result."""
    summary: ClassVar[str]
    loss_type: ClassVar[LossType]
    metric: ClassVar[Metric]
    settings: ClassVar[Mapping[Scale, Settings]]
    variants: ClassVar[Mapping[str, Variant]] = {}
    train_mean: Any = 0.0
    train_stddev: Any = 1.0
    """What the inputs were normalised by: each channel's mean and standard deviation for images."""

    def __init__(
        self,
        variant: str = BASE,
        scale: Scale = "mini",
        data_dir: Path | None = None,
        step_hint: int | None = None,
    ) -> None:
        if scale not in self.settings:
            raise WorkloadError(f"workload {self.name} has no scale {scale!r}; it has: {', '.join(self.settings)}")
        if variant != BASE and variant not in self.variants:
            known = ", ".join([BASE, *self.variants])
            raise WorkloadError(f"workload {self.name} has no variant {variant!r}; it has: {known}")
        self.variant = variant
        self.scale: Scale = scale
        self.data_dir = data_dir
        declared = self.settings[scale]
        self.base_settings = dataclasses.replace(declared, step_hint=step_hint) if step_hint else declared
        override = self.variants[variant].model if variant != BASE else {}
        self.model_config: Mapping[str, Any] = {**self.base_settings.model, **override}
        self.dropout_rate: Any = self.base_settings.dropout_rate
        self.metrics_logger: Any = None
        self._backend: Backend | None = None
        self.resampling: Resampling | None = None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in _ANNOUNCED.keys() & vars(cls).keys():
            setattr(cls, name, announced(_ANNOUNCED[name])(vars(cls)[name]))

    # ---- what a subclass defines ----

    @abc.abstractmethod
    def parameters(self) -> Sequence[Parameter]:
        """The model's trainable tensors in the order of the forward pass, for this variant and scale."""

    @abc.abstractmethod
    def load_split(self, split: str) -> Mapping[str, np.ndarray]:
        """Arrays ``inputs``, ``targets`` (and optionally ``weights``) of a split, first axis the example.

        Splits are ``train``, ``eval_train``, ``validation`` and ``test``. Deterministic: it depends on the workload's
        version and data configuration only, never on the trial's seed.

        Raises:
          WorkloadError: the data is not there.
        """

    def statistics(self) -> Sequence[Statistic]:
        """The model's state, in the order of the forward pass: running statistics of batch normalisation."""
        return ()

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """Metrics of one split, by bare name; must contain ``self.metric.name``."""
        summed = n_valid = 0.0
        for batch in batches:
            summed += batch.loss_summed
            n_valid += batch.n_valid
        return {"loss": summed / n_valid if n_valid else float("nan")}

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Chosen examples, on the host, as the model takes them: the arrays as they are, unless examples differ in
        size and are packed. ``targets``, ``weights`` and ``index`` keep their leading axis of examples."""
        return batch

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> Mapping[str, np.ndarray]:
        """Chosen training examples, on the host, with what is drawn anew for each batch: crops, mixtures, masks.

        Called before :meth:`collate` and on the clock of data selection; ``random`` follows from the trial's seed and
        the number of the batch. The batch's arrays are the caller's own copies.
        """
        return batch

    @property
    def augments(self) -> bool:
        """Whether the class defines :meth:`augment`; where it does not, no generator is made for it."""
        return type(self).augment is not Workload.augment

    def strata(self) -> np.ndarray | None:
        """Class of each training example ``[n]``, by which splits of the pool are stratified; None without classes."""
        return None

    def groups(self) -> np.ndarray | None:
        """Group of each training example ``[n]`` that a split of the pool must not tear apart; None without groups."""
        return None

    def is_right(self, evaluated: EvalBatch) -> np.ndarray | None:
        """Whether each example of a batch is classified rightly ``[n]``; None where right and wrong mean nothing."""
        return None

    # ---- the data under a resampling plan ----

    @functools.cached_property
    def _pool_parts(self) -> tuple[np.ndarray, np.ndarray] | None:
        return self.resampling.indices(self) if self.resampling else None

    def examples(self, split: str) -> Mapping[str, np.ndarray]:
        """:meth:`load_split`, or under a resampling plan its part of the training pool (``validation``: held out)."""
        parts = self._pool_parts
        if parts is None or split == "test":
            return self.load_split(split)
        index = parts[split == "validation"]
        if split == "eval_train":
            index = index[: self.base_settings.splits["eval_train"]]
        return {name: array[index] for name, array in self.load_split("train").items()}

    @property
    def num_pool_examples(self) -> int:
        """Training examples of the benchmark's own split."""
        return self.base_settings.splits["train"]

    # ---- identity and numbers ----

    @property
    def full_name(self) -> str:
        """AlgoPerf's name: the workload, with the variant behind an underscore."""
        return self.name if self.variant == BASE else f"{self.name}_{self.variant}"

    @property
    def target(self) -> Target:
        """Targets of this variant and scale.

        Raises:
          WorkloadError: none is set.
        """
        found = self._declared_target()
        if found is None:
            if self.scale == "full" and not self.resampling:
                raise WorkloadError(
                    f"{self.full_name} (full) has no target: AlgoPerf sets none; leave it out, or use --scale mini"
                )
            part = f" for {self.resampling.train_fraction:.2f} of its training data" if self.resampling else ""
            plan = f" {self.resampling.as_option} --write" if self.resampling else ""
            raise WorkloadError(
                f"{self.full_name} ({self.scale}) has no target{part}; set one with "
                f"`timetrial targets {self.name} --variant {self.variant}{plan}`"
            )
        return found

    @property
    def has_target(self) -> bool:
        return self._declared_target() is not None

    def _declared_target(self) -> Target | None:
        fraction = self.resampling.train_fraction if self.resampling else 1.0
        if self.variant == BASE and self.base_settings.target is not None:
            return self.base_settings.target if fraction == 1.0 else None
        if self.scale == "full":
            return self.variants[self.variant].full_target if self.variant != BASE and fraction == 1.0 else None
        return recorded_target(self.name, self.variant, self.metric, fraction)

    @property
    def num_parameters(self) -> int:
        return sum(parameter.size for parameter in self.parameters())

    # ---- AlgoPerf's attributes ----

    @property
    def step_hint(self) -> int:
        return self.base_settings.step_hint

    @property
    def max_allowed_runtime_sec(self) -> float:
        return self.base_settings.max_runtime_sec

    @property
    def eval_period_time_sec(self) -> float:
        return self.base_settings.eval_period_sec

    @property
    def eval_batch_size(self) -> int:
        return self.base_settings.eval_batch_size

    @property
    def target_metric_name(self) -> str:
        return self.metric.name

    @property
    def validation_target_value(self) -> float:
        return self.target.validation

    @property
    def test_target_value(self) -> float:
        """The test target; for a workload without one, a value that every result reaches."""
        test = self.target.test
        return test if test is not None else float("-inf" if self.metric.direction == "maximize" else "inf")

    def _split_size(self, split: str) -> int:
        if self._pool_parts is None or split == "test":
            return self.base_settings.splits[split]
        size = len(self._pool_parts[split == "validation"])
        return min(size, self.base_settings.splits[split]) if split == "eval_train" else size

    num_train_examples = property(functools.partial(_split_size, split="train"))
    num_eval_train_examples = property(functools.partial(_split_size, split="eval_train"))
    num_validation_examples = property(functools.partial(_split_size, split="validation"))
    num_test_examples = property(functools.partial(_split_size, split="test"))

    @property
    def param_shapes(self) -> ParameterShapeTree:
        return self._bound.shapes_and_types(self)[0]

    @property
    def model_params_types(self) -> ParameterTypeTree:
        return self._bound.shapes_and_types(self)[1]

    def is_output_params(self, param_key: ParameterKey) -> bool:
        """Whether ``param_key`` (the framework's dotted name of a parameter or module) is of the output layer."""
        names = [self._bound.parameter_key(p) for p in self.parameters() if p.is_output]
        return any(name == param_key or name.startswith(f"{param_key}.") for name in names)

    def has_reached_validation_target(self, eval_result: Mapping[str, float]) -> bool:
        value = eval_result[f"validation/{self.metric.name}"]
        return self.metric.reached(value, self.target.validation)

    def has_reached_test_target(self, eval_result: Mapping[str, float]) -> bool:
        test = self.target.test
        value = eval_result[f"test/{self.metric.name}"]
        return test is None or self.metric.reached(value, test)

    def attach_metrics_logger(self, metrics_logger: Any) -> None:
        self.metrics_logger = metrics_logger

    # ---- AlgoPerf's methods, by the bound framework ----

    def bind(self, backend: Backend) -> Workload:
        """Chooses the framework; returns self."""
        self._backend = backend
        return self

    @property
    def _bound(self) -> Backend:
        if self._backend is None:
            raise WorkloadError(f"workload {self.full_name} is not bound to a framework; call bind() first")
        return self._backend

    def init_model_fn(
        self, rng: RandomState, dropout_rate: float | None = None, aux_dropout_rate: float | None = None
    ) -> ModelInitState:
        """Fresh parameters and model state. The same ``rng`` gives the same values in both frameworks."""
        return self._bound.init_model(self, rng, dropout_rate)

    def model_fn(
        self,
        params: ParameterContainer,
        augmented_and_preprocessed_input_batch: Mapping[str, Tensor],
        model_state: ModelAuxiliaryState,
        mode: ForwardPassMode,
        rng: RandomState,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Tensor, ModelAuxiliaryState]:
        """Logits of a batch and the new model state.

        Batch normalisation takes the running statistics in evaluation and, with ``use_running_average_bn``, in training
        too, which leaves them alone; else the batch's, which the running ones take up where ``update_batch_norm``.
        """
        return self._bound.apply_model(
            self,
            params,
            augmented_and_preprocessed_input_batch,
            model_state,
            mode,
            rng,
            None if use_running_average_bn else update_batch_norm,
            dropout_rate,
        )

    def loss_fn(
        self,
        label_batch: Tensor,
        logits_batch: Tensor,
        mask_batch: Tensor | None = None,
        label_smoothing: Any = 0.0,
    ) -> dict[str, Tensor]:
        """``summed`` and ``n_valid_examples`` (scalars) and ``per_example`` (losses before the sum)."""
        return self._bound.loss(self.loss_type, label_batch, logits_batch, mask_batch, label_smoothing)

    def output_activation_fn(self, logits_batch: Tensor, framework: str | None = None) -> Tensor:
        """Probabilities from logits, by the loss type; the predictions themselves in a regression."""
        return self._bound.output_activation(self.loss_type, logits_batch)

    # ---- for initializers ----

    def export_parameters(self, params: ParameterContainer) -> dict[str, np.ndarray]:
        """Values by declared name, in the declared (jax) layout."""
        return self._bound.export_parameters(self, params)

    def import_parameters(self, params: ParameterContainer, values: Mapping[str, np.ndarray]) -> ParameterContainer:
        """``params`` with the given values (declared names and layout); unnamed parameters keep theirs."""
        return self._bound.import_parameters(self, params, values)

    def layer_outputs(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Mapping[str, Tensor]
    ) -> dict[str, np.ndarray]:
        """Outputs of every layer that owns a kernel, by the kernel's declared name, before the activation."""
        return self._bound.layer_outputs(self, params, model_state, batch)

    def eval_model(self, *_: Any, **__: Any) -> NoReturn:
        raise WorkloadError("evaluation is the harness's; a submission sees its results in eval_results")

    def _build_input_queue(self, *_: Any, **__: Any) -> NoReturn:
        raise WorkloadError("_build_input_queue is the harness's; a submission draws from its input_queue")


InputQueue = Iterator[dict[str, Tensor]]
