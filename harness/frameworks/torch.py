"""torch: binds a workload's ``model_torch.Model``, and runs what the trial needs of the framework.

A declared kernel ``(in, out)`` is held transposed, ``(out, in)``, as torch's layers do; a convolution's kernel
``(..., in, out)`` is held ``(out, in, ...)``. Every other tensor has the declared shape.
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from harness.frameworks import ctc
from harness.seeds import draw_parameters, initial_statistics, seed_of_key
from harness.spec import (
    EvalBatch,
    ForwardPassMode,
    Framework,
    LossType,
    Parameter,
    ParameterType,
    ShapeTuple,
    Statistic,
    Workload,
    WorkloadError,
)

_WRAPPED = re.compile(r"^((_orig_mod|module)\.)+")
_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}


def create() -> TorchBackend:
    return TorchBackend()


def torch_name(parameter: Parameter) -> str:
    """``Dense_0.kernel`` -> ``Dense_0.weight``."""
    module, _, leaf = parameter.name.rpartition(".")
    return f"{module}.{_LEAVES.get(leaf, leaf)}" if module else _LEAVES.get(leaf, leaf)


def buffer_name(statistic: Statistic) -> str:
    """``BatchNorm_0.mean`` -> ``BatchNorm_0.running_mean``."""
    module, _, leaf = statistic.name.rpartition(".")
    return f"{module}.running_{leaf}"


def to_torch_layout(parameter: Parameter, value: np.ndarray) -> np.ndarray:
    if parameter.type is ParameterType.CONV_WEIGHT:
        return np.moveaxis(value, (-1, -2), (0, 1))
    return value.T if _is_matrix_kernel(parameter) else value


def from_torch_layout(parameter: Parameter, value: np.ndarray) -> np.ndarray:
    if parameter.type is ParameterType.CONV_WEIGHT:
        return np.moveaxis(value, (0, 1), (-1, -2))
    return value.T if _is_matrix_kernel(parameter) else value


def _is_matrix_kernel(parameter: Parameter) -> bool:
    return len(parameter.shape) == 2 and parameter.name.endswith("kernel")


class TorchBackend:
    framework: Framework = "torch"

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # ---- the workload's model ----

    def build_model(self, workload: Workload) -> torch.nn.Module:
        """The model with its framework's own initial values; use under ``torch.device("meta")`` to count only."""
        module = import_module(f"{type(workload).__module__.rpartition('.')[0]}.model_torch")
        return module.Model(workload.model_config)

    def init_model(self, workload: Workload, rng: Any, dropout_rate: float | None) -> tuple[torch.nn.Module, None]:
        if dropout_rate is not None:
            workload.dropout_rate = dropout_rate
        model = self.build_model(workload)
        values = draw_parameters(workload.parameters(), seed_of_key(rng))
        self.import_statistics(workload, model, None, initial_statistics(workload.statistics()))
        return self.import_parameters(workload, model, values).to(self.device), None

    def apply_model(
        self,
        workload: Workload,
        params: torch.nn.Module,
        batch: Mapping[str, torch.Tensor],
        model_state: Any,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool | None,
        dropout_rate: Any,
    ) -> tuple[torch.Tensor, None]:
        training = mode is ForwardPassMode.TRAIN
        if params.training is not training:
            params.train(training)
        if not training:
            with torch.no_grad():
                return params(batch, 0.0), None
        with _STATISTICS[update_batch_norm](params):
            return params(batch, workload.dropout_rate if dropout_rate is None else dropout_rate), None

    def output_activation(self, loss_type: LossType, logits: torch.Tensor) -> torch.Tensor:
        return _ACTIVATIONS[loss_type](logits)

    def loss(
        self,
        loss_type: LossType,
        labels: torch.Tensor,
        logits: torch.Tensor,
        mask: torch.Tensor | None,
        label_smoothing: Any,
    ) -> dict[str, torch.Tensor]:
        if mask is not None and loss_type is LossType.CTC_LOSS:
            labels = _labels_that_count(labels, mask)
        per_example = _LOSSES[loss_type](labels, logits, label_smoothing)
        weights = _label_counts(labels).to(per_example) if loss_type is LossType.CTC_LOSS else None
        if mask is not None:
            mask = mask.reshape(mask.shape + (1,) * (per_example.ndim - mask.ndim)).expand_as(per_example)
            per_example = per_example.masked_fill(mask == 0, 0) * mask  # infinity times 0 would be NaN
            weights = mask if weights is None else mask * weights
        if weights is None:
            n_valid = per_example.new_full((), per_example.numel(), dtype=torch.float32)
        else:
            n_valid = weights.sum()
        return {"summed": per_example.sum(), "n_valid_examples": n_valid, "per_example": per_example}

    def shapes_and_types(self, workload: Workload) -> tuple[dict[str, ShapeTuple], dict[str, ParameterType]]:
        parameters = workload.parameters()
        shapes = {torch_name(p): ShapeTuple(_torch_shape(p)) for p in parameters}
        return shapes, {torch_name(p): p.type for p in parameters}

    def parameter_key(self, parameter: Parameter) -> str:
        return torch_name(parameter)

    def export_parameters(self, workload: Workload, params: torch.nn.Module) -> dict[str, np.ndarray]:
        tensors = {_WRAPPED.sub("", name): tensor for name, tensor in params.named_parameters()}
        return {p.name: from_torch_layout(p, _on_host(tensors[torch_name(p)])).copy() for p in workload.parameters()}

    def import_parameters(
        self, workload: Workload, params: torch.nn.Module, values: Mapping[str, np.ndarray]
    ) -> torch.nn.Module:
        tensors = dict(params.named_parameters())
        with torch.no_grad():
            for p in workload.parameters():
                if p.name in values:
                    value = np.array(to_torch_layout(p, np.asarray(values[p.name])), np.float32, order="C")
                    tensors[torch_name(p)].copy_(torch.from_numpy(value))
        return params

    def export_statistics(self, workload: Workload, params: torch.nn.Module, model_state: Any) -> dict[str, np.ndarray]:
        buffers = {_WRAPPED.sub("", name): tensor for name, tensor in params.named_buffers()}
        return {s.name: buffers[buffer_name(s)].cpu().numpy().copy() for s in workload.statistics()}

    def import_statistics(
        self, workload: Workload, params: torch.nn.Module, model_state: Any, values: Mapping[str, np.ndarray]
    ) -> None:
        """Into the model's buffers; torch has no model state beside them."""
        buffers = dict(params.named_buffers())
        for statistic in workload.statistics():
            if statistic.name in values:
                buffers[buffer_name(statistic)].copy_(torch.tensor(values[statistic.name]))

    def layer_outputs(
        self, workload: Workload, params: torch.nn.Module, model_state: Any, batch: Mapping[str, torch.Tensor]
    ) -> dict[str, np.ndarray]:
        """Features are the last axis, as in jax. A convolution of torch has them second, unless its module says that
        it has ``channels_last``."""
        outputs: dict[str, np.ndarray] = {}
        kernels = {torch_name(p).rpartition(".")[0]: p for p in workload.parameters() if p.name.endswith("kernel")}

        def hook(parameter: Parameter) -> Callable[..., None]:
            def keep(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
                value = output.detach().cpu().numpy()
                is_second = parameter.type is ParameterType.CONV_WEIGHT and not getattr(module, "channels_last", False)
                outputs[parameter.name] = np.moveaxis(value, 1, -1) if is_second else value

            return keep

        handles = [m.register_forward_hook(hook(kernels[n])) for n, m in params.named_modules() if n in kernels]
        try:
            workload.model_fn(params, batch, model_state, ForwardPassMode.EVAL, None, False)
        finally:
            for handle in handles:
                handle.remove()
        return outputs

    # ---- the trial ----

    @property
    def device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def ones(self, *shape: int) -> torch.Tensor:
        return torch.ones(shape, device=self.device)

    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def seed_everything(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def random_key(self, words: np.ndarray) -> np.ndarray:
        return words.astype(np.int64)

    def to_framework(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Integers become int64, which torch's losses and embeddings ask for; a value may be a tuple of arrays."""
        return {name: self._to_tensor(array) for name, array in batch.items()}

    def _to_tensor(self, array: Any) -> Any:
        if isinstance(array, tuple):
            return tuple(map(self._to_tensor, array))
        values = np.ascontiguousarray(array)
        if values.dtype.kind != "f":
            values = values.astype(np.int64, copy=False)  # a third of what torch takes for a small array
        return torch.from_numpy(values).to(self.device)

    def synchronize(self, *trees: Any) -> None:
        """Waits until the device has done everything asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def evaluated(
        self, workload: Workload, params: Any, model_state: Any, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[EvalBatch]:
        for batch in batches:
            tensors = self.to_framework(batch)
            logits, _ = workload.model_fn(params, tensors, model_state, ForwardPassMode.EVAL, None, False)
            with torch.no_grad():
                loss = workload.loss_fn(tensors["targets"], logits, tensors.get("weights"))
            yield EvalBatch(
                batch,
                float(loss["summed"]),
                float(loss["n_valid_examples"]),
                functools.partial(_to_host, logits),
                functools.partial(_decoded, params, tensors),
            )

    def is_container(self, value: Any, like: Any) -> bool:
        """Whether ``value`` can be a parameter container in the place of ``like``."""
        return isinstance(value, torch.nn.Module)

    def structure(self, params: torch.nn.Module) -> dict[str, tuple[int, ...]]:
        """What compiling a model or wrapping it puts in front of its names is left out."""
        return {_WRAPPED.sub("", str.__str__(name)): tuple(map(int, p.shape)) for name, p in params.named_parameters()}

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}


def frozen_statistics(model: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """While it lasts, batch normalisation uses a batch's statistics without adding them to the running ones."""
    return _norms_with(model, "momentum", 0.0)


def running_statistics(model: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """While it lasts, batch normalisation uses the running statistics, in training too."""
    return _norms_with(model, "training", False)


@contextlib.contextmanager
def _norms_with(model: torch.nn.Module, setting: str, value: Any) -> Iterator[None]:
    layers = [m for m in model.modules() if getattr(m, "running_mean", None) is not None and hasattr(m, "momentum")]
    before = [getattr(layer, setting) for layer in layers]
    for layer in layers:
        setattr(layer, setting, value)
    try:
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            setattr(layer, setting, old)


_STATISTICS: Mapping[bool | None, Callable[[torch.nn.Module], contextlib.AbstractContextManager[None]]] = {
    True: lambda model: contextlib.nullcontext(),
    False: frozen_statistics,
    None: running_statistics,
}
"""By what ``update_batch_norm`` is."""


def _on_host(tensor: torch.Tensor) -> np.ndarray:
    """numpy has no bfloat16."""
    return (tensor.detach().float() if tensor.dtype is torch.bfloat16 else tensor.detach()).cpu().numpy()


def _to_host(output: Any) -> Any:
    """Logits on the host; a model may give a pair of them and their paddings."""
    return tuple(map(_to_host, output)) if isinstance(output, tuple) else output.cpu().numpy()


@torch.no_grad()
def _decoded(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Any:
    """The decoding function's result on the host; ``model`` may be wrapped for several processes."""
    inner: Any = model if hasattr(model, "decode") else getattr(model, "module", model)
    if not hasattr(inner, "decode"):
        raise WorkloadError(f"{type(inner).__module__}.Model has no method decode, which the metric needs")
    return _to_host(inner.decode(batch))


def _torch_shape(parameter: Parameter) -> tuple[int, ...]:
    return to_torch_layout(parameter, np.broadcast_to(np.float32(0), parameter.shape)).shape


def _softmax_cross_entropy(labels: torch.Tensor, logits: torch.Tensor, label_smoothing: Any) -> torch.Tensor:
    """Shape of the labels. Smoothing a: (1 - a) onehot + a / K."""
    if labels.ndim == logits.ndim:  # class probabilities
        smoothed = labels * (1 - label_smoothing) + label_smoothing / logits.shape[-1]
        return -(smoothed * F.log_softmax(logits, -1)).sum(-1)
    if labels.ndim == 1:  # as it is; a reshape would add a node to the graph, which a small model feels
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    losses = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), reduction="none", label_smoothing=label_smoothing
    )
    return losses.reshape(labels.shape)


def _sigmoid_cross_entropy(labels: torch.Tensor, logits: torch.Tensor, label_smoothing: Any) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits.reshape(labels.shape), labels.to(logits.dtype), reduction="none")


def _mean_squared_error(labels: torch.Tensor, logits: torch.Tensor, label_smoothing: Any) -> torch.Tensor:
    return (logits.reshape(labels.shape) - labels).square().flatten(1).mean(1)


def _mean_absolute_error(labels: torch.Tensor, logits: torch.Tensor, label_smoothing: Any) -> torch.Tensor:
    return (logits.reshape(labels.shape) - labels).abs().flatten(1).mean(1)


def _label_counts(labels: Any) -> torch.Tensor:
    return ctc.lengths(ctc.paired_labels(labels)[1])


def _labels_that_count(labels: Any, mask: torch.Tensor) -> Any:
    """Labels and paddings, all padding in rows of weight 0, which then have an alignment: without one a row's gradient
    would be NaN, whatever it is multiplied by."""
    targets, paddings = ctc.paired_labels(labels)
    return targets, paddings.masked_fill(mask.reshape(-1, 1) == 0, 1)


def _ctc(labels: Any, logits: Any, label_smoothing: Any) -> torch.Tensor:
    """Per sequence, ``[B]``; infinite where no alignment is long enough, as in AlgoPerf's torch version."""
    targets, _ = ctc.paired_labels(labels)
    values, paddings = ctc.paired_logits(logits)
    log_probabilities = F.log_softmax(values, -1).transpose(0, 1)
    return F.ctc_loss(
        log_probabilities, targets, ctc.lengths(paddings), _label_counts(labels), blank=ctc.BLANK, reduction="none"
    )


_LOSSES: Mapping[LossType, Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: _softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: _sigmoid_cross_entropy,
    LossType.MEAN_SQUARED_ERROR: _mean_squared_error,
    LossType.MEAN_ABSOLUTE_ERROR: _mean_absolute_error,
    LossType.CTC_LOSS: _ctc,
}

_ACTIVATIONS: Mapping[LossType, Callable[[torch.Tensor], torch.Tensor]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: functools.partial(torch.softmax, dim=-1),
    LossType.SIGMOID_CROSS_ENTROPY: torch.sigmoid,
    LossType.MEAN_SQUARED_ERROR: lambda logits: logits,
    LossType.MEAN_ABSOLUTE_ERROR: lambda logits: logits,
    LossType.CTC_LOSS: functools.partial(torch.softmax, dim=-1),
}
