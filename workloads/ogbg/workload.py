"""ogbg: sixteen (full: 128) properties of molecules with a graph network; ogbg-molpcba at full scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from harness.spec import (
    EvalBatch,
    LossType,
    Metric,
    Parameter,
    Scale,
    Settings,
    Target,
    Variant,
)
from workloads.declared import dense, layer_norm
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.ogbg.architecture import Architecture, Block

_SWITCHES = {"activation": "relu", "size": "base"}


class Ogbg(GeneratedWorkload):
    """Rounds of edge, node and graph perceptrons; masked log loss per task; mean average precision."""

    name = "ogbg"
    version = 2
    summary = "properties of molecules, graph network"
    loss_type = LossType.SIGMOID_CROSS_ENTROPY
    metric = Metric("mean_average_precision", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "tasks": 16,
                "sizes": {
                    "base": {"latent": 64, "hidden": (64,), "rounds": 3},
                    "small": {"latent": 32, "hidden": (64, 64), "rounds": 2},
                },
            },
            data={
                "seed": 20260105,
                "side_groups": 2.5,
                "wrong": 0.015,
                "missing": 0.3,
                "nodes_per_graph": 19,
                "edges_per_graph": 40,
            },
            batch_size=128,
            eval_batch_size=250,
            step_hint=1_200,
            max_runtime_sec=90.0,
            eval_period_sec=3.6,
            eval_period_steps=40,
            splits={"train": 6_000, "eval_train": 1_000, "validation": 1_000, "test": 1_000},
            dropout_rate=0.1,
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "tasks": 128,
                "sizes": {
                    "base": {"latent": 256, "hidden": (256,), "rounds": 5},
                    "small": {"latent": 128, "hidden": (256, 256), "rounds": 3},
                },
            },
            data={"nodes_per_graph": 28, "edges_per_graph": 60},
            batch_size=512,
            eval_batch_size=32_768,
            step_hint=52_000,
            max_runtime_sec=11_303.0,
            eval_period_sec=452.0,
            splits={"train": 350_343, "eval_train": 43_793, "validation": 43_793, "test": 43_793},
            target=Target(0.28098, 0.268729),
            dropout_rate=0.1,
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "gelu": Variant("GELU (tanh form) in place of ReLU", {"activation": "gelu"}, Target(0.27771, 0.262926)),
        "silu": Variant("SiLU in place of ReLU", {"activation": "silu"}, Target(0.282178, 0.272144)),
        "model_size": Variant(
            "half as wide embeddings, perceptrons of two layers, fewer rounds",
            {"size": "small"},
            Target(0.269446, 0.253051),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        a = Architecture.of(self.model_config)
        nodes, edges = a.embeddings
        declared = [*dense(*nodes), *dense(*edges)]
        for blocks in a.rounds:
            for block in blocks:
                declared += _block(block)
        return [*declared, *dense(*a.decoder, is_output=True)]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.ogbg.generator import generate

        settings = self.base_settings
        return generate(settings.data, {s: settings.splits[s] for s in SPLITS})

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        from workloads.ogbg.graphs import collate

        data = self.base_settings.data
        return collate(batch, data["nodes_per_graph"], data["edges_per_graph"])

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``mean_average_precision``, and the mean log loss of a known answer as ``loss``."""
        from workloads.ogbg.metric import mean_average_precision

        collected: list[tuple[np.ndarray, ...]] = []

        def kept() -> Iterator[EvalBatch]:
            for evaluated in batches:
                batch = evaluated.batch
                collected.append((batch["targets"], evaluated.fetch_logits(), batch["weights"]))
                yield evaluated

        metrics = super().evaluate(kept())
        labels, logits, known = map(np.concatenate, zip(*collected, strict=True))
        return {"mean_average_precision": mean_average_precision(labels, logits, known), **metrics}


def _block(block: Block) -> Iterator[Parameter]:
    for index, inputs, outputs in block.layers():
        yield from dense(f"{block.name}.Dense_{index}", inputs, outputs)
        yield from layer_norm(f"{block.name}.LayerNorm_{index}", outputs)


WORKLOAD = Ogbg
