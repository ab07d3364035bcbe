"""Toy workloads: a sequence net of about 3,000 parameters on random tokens, images or sound, once per type of loss. No
benchmark: what they measure is whether an entry keeps the rules."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from harness.spec import (
    ForwardPassMode,
    InitLaw,
    LossType,
    Metric,
    Parameter,
    ParameterType,
    Scale,
    Settings,
    Statistic,
    Target,
    Workload,
)
from workloads.init_laws import lecun_normal, normal, ones, xavier_uniform, zeros

VOCABULARY, LENGTH, LABEL_LENGTH, CLASSES = 32, 12, 3, 8
PER_FRAME: Mapping[str, tuple[int, ...]] = {"image": (4, 3), "sound": (8,)}
"""Values for each of the ``LENGTH`` places: a row of pixels with three colours, or samples."""
_SPLITS = {"train": 256, "eval_train": 64, "validation": 64, "test": 64}
_DATA_SEED = 20260301


def _settings(outputs: int, pooled: bool, inputs: str = "tokens") -> Mapping[Scale, Settings]:
    model = {
        "inputs": inputs,
        "length": LENGTH,
        "vocabulary": VOCABULARY,
        "features": 16,
        "heads": 2,
        "window": 3,
        "hidden": 32,
        "outputs": outputs,
        "pooled": pooled,
    }
    return {
        "mini": Settings(
            model=model,
            data={"seed": _DATA_SEED},
            batch_size=16,
            eval_batch_size=64,
            step_hint=400,
            max_runtime_sec=60.0,
            eval_period_sec=6.0,
            splits=_SPLITS,
            target=Target(0.0, 0.0),
            dropout_rate=0.1,
        )
    }


class Observer(Protocol):
    """Is told what is asked of a toy."""

    def split_loaded(self, split: str) -> None: ...

    def trained(self, dropout_rate: Any) -> None: ...


class Toy(Workload):
    """What the toys share."""

    version = 1
    metric = Metric("loss", "minimize")
    observer: Observer | None = None

    def parameters(self) -> Sequence[Parameter]:
        c, kinds = self.model_config, ParameterType
        features, heads, hidden, outputs = c["features"], c["heads"], c["hidden"], c["outputs"]
        split = (heads, features // heads)
        glorot, kernel = xavier_uniform, lecun_normal()
        attention = "MultiHeadDotProductAttention_0"
        return [
            *self._first_parameters(features, kernel),
            Parameter("Conv_0.kernel", (c["window"], 1, features, features), kinds.CONV_WEIGHT, kernel),
            Parameter("Conv_0.bias", (features,), kinds.BIAS, zeros),
            Parameter("LayerNorm_0.scale", (features,), kinds.LAYER_NORM_SCALE, ones),
            Parameter("LayerNorm_0.bias", (features,), kinds.LAYER_NORM_BIAS, zeros),
            Parameter(f"{attention}.query.kernel", (features, *split), kinds.ATTENTION_Q, glorot),
            Parameter(f"{attention}.key.kernel", (features, *split), kinds.ATTENTION_K, glorot),
            Parameter(f"{attention}.value.kernel", (features, *split), kinds.ATTENTION_V, glorot),
            Parameter(f"{attention}.out.kernel", (*split, features), kinds.ATTENTION_OUT, glorot),
            Parameter("Dense_0.kernel", (features, hidden), kinds.WEIGHT, kernel),
            Parameter("Dense_0.bias", (hidden,), kinds.BIAS, zeros),
            Parameter("Dense_1.kernel", (hidden, outputs), kinds.WEIGHT, kernel, is_output=True),
            Parameter("Dense_1.bias", (outputs,), kinds.BIAS, zeros, is_output=True),
        ]

    def _first_parameters(self, features: int, kernel: InitLaw) -> Sequence[Parameter]:
        c, kinds = self.model_config, ParameterType
        if c["inputs"] == "tokens":
            return [Parameter("Embed_0.embedding", (c["vocabulary"], features), kinds.EMBEDDING, normal(0.5))]
        stem = Parameter("Stem.kernel", (math.prod(PER_FRAME[c["inputs"]]), features), kinds.WEIGHT, kernel)
        norm = [
            Parameter("BatchNorm_0.scale", (features,), kinds.BATCH_NORM_SCALE, ones),
            Parameter("BatchNorm_0.bias", (features,), kinds.BATCH_NORM_BIAS, zeros),
        ]
        return [stem, *(norm if c["inputs"] == "image" else [])]

    def statistics(self) -> Sequence[Statistic]:
        shape = (self.model_config["features"],)
        both = [Statistic("BatchNorm_0.mean", shape, 0.0), Statistic("BatchNorm_0.var", shape, 1.0)]
        return both if self.model_config["inputs"] == "image" else []

    def load_split(self, split: str) -> Mapping[str, np.ndarray]:
        if self.observer is not None:
            self.observer.split_loaded(split)
        return _arrays(self.loss_type, self.model_config["inputs"], split, self.base_settings.splits[split])

    def model_fn(
        self,
        params: Any,
        augmented_and_preprocessed_input_batch: Mapping[str, Any],
        model_state: Any,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Any, Any]:
        _see_arguments(params, augmented_and_preprocessed_input_batch, mode)
        if self.observer is not None and mode is ForwardPassMode.TRAIN:
            self.observer.trained(self.dropout_rate if dropout_rate is None else dropout_rate)
        batch = augmented_and_preprocessed_input_batch
        return super().model_fn(
            params, batch, model_state, mode, rng, update_batch_norm, dropout_rate, use_running_average_bn
        )

    def loss_fn(
        self, label_batch: Any, logits_batch: Any, mask_batch: Any = None, label_smoothing: Any = 0.0
    ) -> dict[str, Any]:
        if self.loss_type is LossType.SOFTMAX_CROSS_ENTROPY and logits_batch.ndim < label_batch.ndim:
            raise TypeError(
                f"loss_fn: label_batch has the shape {tuple(label_batch.shape)} and logits_batch "
                f"{tuple(logits_batch.shape)}, as if swapped; it takes (label_batch, logits_batch, mask_batch)"
            )
        return super().loss_fn(label_batch, logits_batch, mask_batch, label_smoothing)


def _see_arguments(params: Any, batch: Any, mode: Any) -> None:
    """Says which argument of model_fn is in another's place; deep in a model nobody would know."""
    wrong = {
        "params, the parameters,": isinstance(params, Mapping) and "inputs" in params,
        "augmented_and_preprocessed_input_batch": not isinstance(batch, Mapping) or "inputs" not in batch,
        "mode": not isinstance(mode, ForwardPassMode),
    }
    if found := [name for name, is_wrong in wrong.items() if is_wrong]:
        values = {"mode": mode, "augmented_and_preprocessed_input_batch": batch}
        kind = type(values.get(found[0], params)).__name__
        raise TypeError(
            f"model_fn: {found[0]} is of the type {kind}; it takes (params, augmented_and_preprocessed_input_batch, "
            "model_state, mode, rng, update_batch_norm)"
        )


@functools.cache
def _arrays(loss_type: LossType, kind: str, split: str, count: int) -> Mapping[str, np.ndarray]:
    """Random inputs, and targets that a net can learn from them."""
    random = np.random.RandomState(_DATA_SEED + sum(map(ord, split)))
    tokens = random.randint(1, VOCABULARY, (count, LENGTH)).astype(np.int32)
    return {**_INPUTS[kind](tokens, random), "targets": _TARGETS[loss_type](tokens, random)}


def _values(tokens: np.ndarray, kind: str) -> np.ndarray:
    """Numbers that stand for each token, the same in all splits."""
    table = np.random.RandomState(_DATA_SEED).standard_normal((VOCABULARY, *PER_FRAME[kind]))
    return table[tokens].astype(np.float32)


def _image(tokens: np.ndarray, random: np.random.RandomState) -> dict[str, np.ndarray]:
    """Some examples do not count."""
    return {"inputs": _values(tokens, "image"), "weights": (random.random_sample(len(tokens)) > 0.1).astype(np.float32)}


def _sound(tokens: np.ndarray, random: np.random.RandomState) -> dict[str, np.ndarray]:
    ends = random.randint(2 * LABEL_LENGTH + 1, LENGTH + 1, (len(tokens), 1))
    paddings = np.repeat(np.arange(LENGTH) >= ends, PER_FRAME["sound"][0], axis=1)
    return {"inputs": _values(tokens, "sound").reshape(len(tokens), -1), "paddings": paddings.astype(np.float32)}


_INPUTS = {"tokens": lambda tokens, random: {"inputs": tokens}, "image": _image, "sound": _sound}


def _labels(inputs: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Up to three labels from 1 on, padded with 0: short enough for every length, repeats included."""
    labels = 1 + inputs[:, :LABEL_LENGTH] % (CLASSES - 1)
    kept = np.arange(LABEL_LENGTH) < random.randint(1, LABEL_LENGTH + 1, (len(inputs), 1))
    return (labels * kept).astype(np.int32)


_TARGETS = {
    LossType.SOFTMAX_CROSS_ENTROPY: lambda inputs, random: (inputs[:, 0] % CLASSES).astype(np.int32),
    LossType.SIGMOID_CROSS_ENTROPY: lambda inputs, random: (inputs[:, :1] % 2).astype(np.float32),
    LossType.MEAN_SQUARED_ERROR: lambda inputs, random: (inputs / VOCABULARY).astype(np.float32),
    LossType.MEAN_ABSOLUTE_ERROR: lambda inputs, random: (inputs / VOCABULARY).astype(np.float32),
    LossType.CTC_LOSS: _labels,
}


class SoftmaxToy(Toy):
    """Images and batch norm, and examples with the weight 0."""

    name = "toy_softmax"
    summary = "one of eight classes"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    settings: ClassVar[Mapping[Scale, Settings]] = _settings(CLASSES, pooled=True, inputs="image")


class SigmoidToy(Toy):
    name = "toy_sigmoid"
    summary = "yes or no"
    loss_type = LossType.SIGMOID_CROSS_ENTROPY
    settings: ClassVar[Mapping[Scale, Settings]] = _settings(1, pooled=True)


class AbsoluteToy(Toy):
    name = "toy_absolute"
    summary = "a number per token, by absolute error"
    loss_type = LossType.MEAN_ABSOLUTE_ERROR
    settings: ClassVar[Mapping[Scale, Settings]] = _settings(1, pooled=False)


class SquaredToy(Toy):
    name = "toy_squared"
    summary = "a number per token, by squared error"
    loss_type = LossType.MEAN_SQUARED_ERROR
    settings: ClassVar[Mapping[Scale, Settings]] = _settings(1, pooled=False)


class CTCToy(Toy):
    """Sound and labels come with their paddings, and so do logits, as in the speech workloads."""

    name = "toy_ctc"
    summary = "a short sequence of labels"
    loss_type = LossType.CTC_LOSS
    settings: ClassVar[Mapping[Scale, Settings]] = _settings(CLASSES, pooled=False, inputs="sound")

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        labels = batch["targets"]
        rest = {name: array for name, array in batch.items() if name != "paddings"}
        pairs = {"inputs": (batch["inputs"], batch["paddings"]), "targets": (labels, (labels == 0).astype(np.float32))}
        return {**rest, **pairs}


TOYS: Mapping[str, type[Toy]] = {
    "softmax": SoftmaxToy,
    "sigmoid": SigmoidToy,
    "absolute": AbsoluteToy,
    "squared": SquaredToy,
    "ctc": CTCToy,
}
"""By the name of the loss, as ``--loss`` takes it."""
