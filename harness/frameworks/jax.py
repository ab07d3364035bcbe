"""jax: binds a workload's ``model_jax.apply``, and runs what the trial needs of the framework."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
    Workload,
    WorkloadError,
    capture_layers,
)


def create() -> JaxBackend:
    return JaxBackend()


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"Dense_0.kernel": x}`` -> ``{"Dense_0": {"kernel": x}}``."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def pick(tree: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        tree = tree[part]
    return tree


class JaxBackend:
    framework: Framework = "jax"

    def __init__(self) -> None:
        self._evaluators: dict[Workload, Callable[..., Any]] = {}
        self._decoders: dict[Workload, Callable[..., Any]] = {}

    # ---- the workload's model ----

    @staticmethod
    def _model(workload: Workload) -> Any:
        return import_module(f"{type(workload).__module__.rpartition('.')[0]}.model_jax")

    def init_model(self, workload: Workload, rng: Any, dropout_rate: float | None) -> tuple[dict[str, Any], Any]:
        self._model(workload)  # loaded by now, so that a change of its functions shows
        if dropout_rate is not None:
            workload.dropout_rate = dropout_rate
        words = jax.random.key_data(rng) if _is_typed_key(rng) else rng
        values = draw_parameters(workload.parameters(), seed_of_key(words))
        statistics = initial_statistics(workload.statistics())
        state = self.import_statistics(workload, None, None, statistics) if statistics else None
        return nest({name: jnp.asarray(value, jnp.float32) for name, value in values.items()}), state

    def apply_model(
        self,
        workload: Workload,
        params: dict[str, Any],
        batch: Mapping[str, jax.Array],
        model_state: Any,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool | None,
        dropout_rate: Any,
    ) -> tuple[jax.Array, Any]:
        return self._model(workload).apply(
            workload.model_config,
            params,
            model_state,
            batch,
            train=mode is ForwardPassMode.TRAIN,
            rng=rng,
            dropout_rate=workload.dropout_rate if dropout_rate is None else dropout_rate,
            update_batch_norm=update_batch_norm,
        )

    def output_activation(self, loss_type: LossType, logits: jax.Array) -> jax.Array:
        return _ACTIVATIONS[loss_type](logits)

    def loss(
        self, loss_type: LossType, labels: jax.Array, logits: jax.Array, mask: jax.Array | None, label_smoothing: Any
    ) -> dict[str, jax.Array]:
        per_example = _LOSSES[loss_type](labels, logits, label_smoothing)
        weights = _label_counts(labels) if loss_type is LossType.CTC_LOSS else None
        if mask is not None:
            mask = jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (per_example.ndim - mask.ndim)), per_example.shape)
            per_example = jnp.where(mask == 0, 0, per_example) * mask  # infinity times 0 would be NaN
            weights = mask if weights is None else mask * weights
        n_valid = jnp.asarray(float(per_example.size)) if weights is None else weights.astype(jnp.float32).sum()
        return {"summed": per_example.sum(), "n_valid_examples": n_valid, "per_example": per_example}

    def shapes_and_types(self, workload: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
        parameters = workload.parameters()
        shapes: dict[str, ShapeTuple] = {p.name: ShapeTuple(p.shape) for p in parameters}
        types: dict[str, ParameterType] = {p.name: p.type for p in parameters}
        return nest(shapes), nest(types)

    def parameter_key(self, parameter: Parameter) -> str:
        return parameter.name

    def export_parameters(self, workload: Workload, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {p.name: np.array(pick(params, p.name)) for p in workload.parameters()}

    def import_parameters(
        self, workload: Workload, params: Mapping[str, Any], values: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        def value_of(name: str) -> jax.Array:
            return jnp.array(values[name], jnp.float32) if name in values else pick(params, name)

        return nest({p.name: value_of(p.name) for p in workload.parameters()})

    def export_statistics(self, workload: Workload, params: Any, model_state: Any) -> dict[str, np.ndarray]:
        return {s.name: np.array(pick(model_state["batch_stats"], s.name)) for s in workload.statistics()}

    def import_statistics(
        self, workload: Workload, params: Any, model_state: Any, values: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """The model state with the given values; unnamed statistics keep theirs."""

        def value_of(name: str) -> jax.Array:
            return jnp.array(values[name]) if name in values else pick(model_state["batch_stats"], name)

        return {"batch_stats": nest({s.name: value_of(s.name) for s in workload.statistics()})}

    def layer_outputs(
        self, workload: Workload, params: Any, model_state: Any, batch: Mapping[str, jax.Array]
    ) -> dict[str, np.ndarray]:
        key = jnp.zeros(2, jnp.uint32)
        with capture_layers() as outputs:
            workload.model_fn(params, batch, model_state, ForwardPassMode.EVAL, key, False)
        return {name: np.asarray(output) for name, output in outputs.items()}

    # ---- the trial ----

    @property
    def device_name(self) -> str:
        device = jax.devices()[0]
        return "cpu" if device.platform == "cpu" else device.device_kind

    def ones(self, *shape: int) -> jax.Array:
        return jnp.ones(shape, jnp.float32)

    def set_threads(self, threads: int) -> None:
        """XLA reads its thread count from the environment when it starts; see ``set_thread_environment``."""

    def seed_everything(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)

    def random_key(self, words: np.ndarray) -> np.ndarray:
        """jax takes a raw key as a numpy array too; placing it on the device here would cost more than the key."""
        return words

    def to_framework(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A value may be a tuple of arrays."""
        return jax.tree.map(jnp.asarray, dict(batch))

    def synchronize(self, *trees: Any) -> None:
        """Waits for asynchronous dispatch: the clock must not be read before the work is done, nor go on in an
        evaluation's shadow for arrays that an entry keeps where no tree shows them."""
        jax.block_until_ready([array for array in jax.live_arrays() if not array.is_deleted()])
        jax.effects_barrier()

    def evaluated(
        self, workload: Workload, params: Any, model_state: Any, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[EvalBatch]:
        if workload not in self._evaluators:
            self._evaluators[workload] = jax.jit(self._evaluator(workload))
        for batch in batches:
            arrays = self.to_framework(batch)
            summed, n_valid, logits = self._evaluators[workload](params, model_state, arrays)
            fetch_decoded = functools.partial(self._decoded, workload, params, model_state, arrays)
            yield EvalBatch(batch, float(summed), float(n_valid), functools.partial(_to_host, logits), fetch_decoded)

    def _decoded(self, workload: Workload, params: Any, model_state: Any, batch: Mapping[str, jax.Array]) -> Any:
        """The decoding function's result on the host; the function is compiled once per workload."""
        model = self._model(workload)
        if not hasattr(model, "decode"):
            raise WorkloadError(f"{model.__name__} has no function decode, which the metric needs")
        if workload not in self._decoders:
            self._decoders[workload] = jax.jit(functools.partial(model.decode, workload.model_config))
        return _to_host(self._decoders[workload](params, model_state, batch))

    @staticmethod
    def _evaluator(workload: Workload) -> Callable[..., Any]:
        def evaluate(params: Any, model_state: Any, batch: Mapping[str, jax.Array]) -> tuple[Any, Any, Any]:
            key = jnp.zeros(2, jnp.uint32)
            logits, _ = workload.model_fn(params, batch, model_state, ForwardPassMode.EVAL, key, False)
            loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
            return loss["summed"], loss["n_valid_examples"], logits

        return evaluate

    def is_container(self, value: Any, like: Any) -> bool:
        """Whether ``value`` can be a parameter container in the place of ``like``."""
        return bool(jax.tree.structure(value) == jax.tree.structure(like))  # type: ignore[operator]

    def structure(self, params: Any) -> dict[str, tuple[int, ...]]:
        leaves, _ = jax.tree_util.tree_flatten_with_path(params)
        return {jax.tree_util.keystr(path): tuple(map(int, jnp.shape(leaf))) for path, leaf in leaves}

    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__, "optax": optax.__version__}


def _to_host(output: Any) -> Any:
    """Logits on the host; a model may give a pair of them and their paddings."""
    return tuple(map(np.asarray, output)) if isinstance(output, tuple) else np.asarray(output)


def _is_typed_key(rng: Any) -> bool:
    return isinstance(rng, jax.Array) and jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)


def _softmax_cross_entropy(labels: jax.Array, logits: jax.Array, label_smoothing: Any) -> jax.Array:
    """Shape of the labels. Smoothing a: (1 - a) onehot + a / K.

    For integer labels no array of the logits' shape is made beside them: log-sum-exp less the label's own logit.
    """
    if labels.ndim == logits.ndim:  # class probabilities
        smoothed = (1 - label_smoothing) * labels + label_smoothing / logits.shape[-1]
        return -(smoothed * jax.nn.log_softmax(logits, -1)).sum(-1)
    expected = jnp.take_along_axis(logits, labels[..., None], -1)[..., 0]
    if not isinstance(label_smoothing, int | float) or label_smoothing != 0:
        expected = (1 - label_smoothing) * expected + label_smoothing * logits.mean(-1)
    return jax.nn.logsumexp(logits, -1) - expected


def _sigmoid_cross_entropy(labels: jax.Array, logits: jax.Array, label_smoothing: Any) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(logits.reshape(labels.shape), labels.astype(logits.dtype))


def _mean_squared_error(labels: jax.Array, logits: jax.Array, label_smoothing: Any) -> jax.Array:
    errors = jnp.square(logits.reshape(labels.shape) - labels)
    return errors.reshape(len(errors), -1).mean(1)


def _mean_absolute_error(labels: jax.Array, logits: jax.Array, label_smoothing: Any) -> jax.Array:
    errors = jnp.abs(logits.reshape(labels.shape) - labels)
    return errors.reshape(len(errors), -1).mean(1)


def _label_counts(labels: Any) -> jax.Array:
    return ctc.lengths(ctc.paired_labels(labels)[1])


def _ctc(labels: Any, logits: Any, label_smoothing: Any) -> jax.Array:
    """Per sequence, ``[B]``; large where no alignment is long enough."""
    targets, target_paddings = ctc.paired_labels(labels)
    values, paddings = ctc.paired_logits(logits)
    return optax.ctc_loss(
        values, paddings.astype(values.dtype), targets, target_paddings.astype(values.dtype), blank_id=ctc.BLANK
    )


_LOSSES: Mapping[LossType, Callable[[jax.Array, jax.Array, Any], jax.Array]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: _softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: _sigmoid_cross_entropy,
    LossType.MEAN_SQUARED_ERROR: _mean_squared_error,
    LossType.MEAN_ABSOLUTE_ERROR: _mean_absolute_error,
    LossType.CTC_LOSS: _ctc,
}

_ACTIVATIONS: Mapping[LossType, Callable[[jax.Array], jax.Array]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: jax.nn.softmax,
    LossType.SIGMOID_CROSS_ENTROPY: jax.nn.sigmoid,
    LossType.MEAN_SQUARED_ERROR: lambda logits: logits,
    LossType.MEAN_ABSOLUTE_ERROR: lambda logits: logits,
    LossType.CTC_LOSS: jax.nn.softmax,
}
