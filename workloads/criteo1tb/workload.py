"""criteo1tb: click-through prediction with DLRM-small (Naumov et al. 2019, arXiv 1906.00091)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from harness.spec import EvalBatch, LossType, Metric, Parameter, ParameterType, Scale, Settings, Target, Variant
from workloads.criteo1tb.architecture import Architecture
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.init_laws import normal, ones, uniform, xavier_normal, xavier_uniform, zeros

_SWITCHES = {"residual": False, "layer_norm": False, "embedding_init_scale": None}


class Criteo1TB(GeneratedWorkload):
    """13 counts and 26 categories, one shared embedding table, dot interactions; mean log loss."""

    name = "criteo1tb"
    version = 2
    summary = "click-through prediction, DLRM-small"
    loss_type = LossType.SIGMOID_CROSS_ENTROPY
    metric = Metric("loss", "minimize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 32_768,
                "embedding": 16,
                "bottom": (64, 32, 16),
                "top": (128, 128, 64, 32, 1),
                "residual_width": 64,
            },
            data={
                "seed": 20260102,
                "smallest": 3,
                "largest": 20_000,
                "user_correlation": 0.6,
                "effect": 0.35,
                "pair_effect": 0.6,
                "dense_effect": 0.2,
                "drift": 0.15,
                "bias": -1.5,
            },
            batch_size=2048,
            eval_batch_size=10_000,
            step_hint=1_800,
            max_runtime_sec=75.0,
            eval_period_sec=3.0,
            eval_period_steps=60,
            splits={"train": 1_500_000, "eval_train": 5_000, "validation": 20_000, "test": 20_000},
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 4_194_304,
                "embedding": 128,
                "bottom": (512, 256, 128),
                "top": (1024, 1024, 512, 256, 1),
                "residual_width": 256,
            },
            data={},
            batch_size=262_144,
            eval_batch_size=131_072,
            step_hint=10_666,
            max_runtime_sec=8_915.0,
            eval_period_sec=356.0,
            splits={
                "train": 4_195_197_692,
                "eval_train": 83_361_792,
                "validation": 83_274_637,
                "test": 95_000_000,
            },
            target=Target(0.123735, 0.126041),
            shuffle_run=16_384,
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "layernorm": Variant(
            "LayerNorm after every hidden layer and on the embeddings", {"layer_norm": True}, Target(0.123757, 0.126152)
        ),
        "embed_init": Variant("embeddings from U(0, 1)", {"embedding_init_scale": 1.0}, Target(0.129657, 0.131967)),
        "resnet": Variant(
            "residual layers of one width, embeddings concatenated", {"residual": True}, Target(0.12415, 0.12648)
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        config, a = self.model_config, Architecture.of(self.model_config)
        rows, features = config["vocabulary"], config["embedding"]
        scale = config["embedding_init_scale"] or 1 / math.sqrt(rows)
        table = Parameter("Embed_0.embedding", (rows, features), ParameterType.EMBEDDING, uniform(0.0, scale))
        declared: list[Parameter] = []
        for index, inputs, outputs in a.bottom_layers():
            kernel = Parameter(f"Dense_{index}.kernel", (inputs, outputs), ParameterType.WEIGHT, xavier_uniform)
            declared += [kernel, _bias(a, index, outputs), *_norm(a.norm_of_dense(index), outputs)]
        declared += [table, *_norm(a.norm_of_embedding, features)]
        for index, inputs, outputs in a.top_layers():
            last = index == a.last
            kernel = Parameter(f"Dense_{index}.kernel", (inputs, outputs), ParameterType.WEIGHT, xavier_normal, last)
            declared += [kernel, _bias(a, index, outputs), *_norm(a.norm_of_dense(index), outputs)]
        return declared

    def strata(self) -> np.ndarray:
        return np.asarray(self.load_split("train")["targets"])

    def is_right(self, evaluated: EvalBatch) -> np.ndarray:
        return (evaluated.fetch_logits().reshape(-1) > 0) == (evaluated.batch["targets"].reshape(-1) > 0.5)

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.criteo1tb.generator import generate

        settings = self.base_settings
        return generate(settings.data, settings.model["vocabulary"], {s: settings.splits[s] for s in SPLITS})


def _bias(a: Architecture, index: int, outputs: int) -> Parameter:
    law = normal(math.sqrt(1 / outputs))
    return Parameter(f"Dense_{index}.bias", (outputs,), ParameterType.BIAS, law, index == a.last)


def _norm(index: int | None, features: int) -> Iterator[Parameter]:
    if index is not None:
        yield Parameter(f"LayerNorm_{index}.scale", (features,), ParameterType.LAYER_NORM_SCALE, ones)
        yield Parameter(f"LayerNorm_{index}.bias", (features,), ParameterType.LAYER_NORM_BIAS, zeros)


WORKLOAD = Criteo1TB
