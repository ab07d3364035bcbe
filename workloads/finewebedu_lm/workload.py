"""finewebedu_lm: next-token prediction with a decoder-only transformer; AlgoPerf 1.0's language model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from harness.spec import EvalBatch, LossType, Metric, Parameter, ParameterType, Scale, Settings, Target, Variant
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.init_laws import constant, normal, ones

_SWITCHES = {"gate": "sigmoid", "init_scale": 1.0}
_INIT_STD = 0.02


class FineWebEduLM(GeneratedWorkload):
    """Pre-RMSNorm blocks, rotary attention with normalised queries and keys, gated MLP, tied embedding; perplexity."""

    name = "finewebedu_lm"
    version = 3
    summary = "language modelling, decoder-only transformer"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("ppl", "minimize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 832,
                "features": 64,
                "heads": 4,
                "layers": 2,
                "hidden": 256,
                "length": 128,
            },
            data={"seed": 20260103, "length": 128},
            batch_size=16,
            eval_batch_size=16,
            step_hint=1_400,
            max_runtime_sec=210.0,
            eval_period_sec=6.0,
            eval_period_steps=40,
            splits={"train": 2_000, "eval_train": 112, "validation": 112, "test": 112},
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 50_257,
                "features": 1024,
                "heads": 8,
                "layers": 12,
                "hidden": 4096,
                "length": 1024,
            },
            data={"length": 1024},
            batch_size=64,
            eval_batch_size=256,
            step_hint=72_000,
            max_runtime_sec=31_967.0,
            eval_period_sec=2_571.0,
            splits={"train": 8_749_870, "eval_train": 10_000, "validation": 100_000, "test": 0},
            target=Target(22.2995),
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "silu_glu": Variant("SiLU gates in place of sigmoid gates", {"gate": "silu"}),
        "large_init": Variant("matrices and embedding start five times as large", {"init_scale": 5.0}),
    }

    def parameters(self) -> Sequence[Parameter]:
        config = self.model_config
        features, heads, length = config["features"], config["heads"], config["length"]
        split = (heads, features // heads)
        std = _INIT_STD * config["init_scale"]
        inner, residual = normal(std), normal(std / math.sqrt(2 * config["layers"]))
        logit_scale = constant(math.log2(length**2 - length))
        kind = ParameterType

        def norm(name: str) -> Parameter:
            return Parameter(f"{name}.scale", (features,), kind.LAYER_NORM_SCALE, ones)

        # The embedding is tied: it makes the logits too.
        table = (config["vocabulary"], features)
        declared = [Parameter("Embed_0.embedding", table, kind.EMBEDDING, inner, is_output=True)]
        for i in range(config["layers"]):
            attention, mlp = f"Block_{i}.Attention_0", f"Block_{i}.MLP_0"
            declared += [
                norm(f"Block_{i}.RMSNorm_0"),
                Parameter(f"{attention}.attn_scale", (), kind.WEIGHT, logit_scale),
                Parameter(f"{attention}.query.kernel", (features, *split), kind.ATTENTION_Q, inner),
                Parameter(f"{attention}.key.kernel", (features, *split), kind.ATTENTION_K, inner),
                Parameter(f"{attention}.value.kernel", (features, *split), kind.ATTENTION_V, inner),
                Parameter(f"{attention}.out.kernel", (*split, features), kind.ATTENTION_OUT, residual),
                norm(f"Block_{i}.RMSNorm_1"),
                Parameter(f"{mlp}.Dense_0.kernel", (features, 2 * config["hidden"]), kind.WEIGHT, inner),
                Parameter(f"{mlp}.Dense_1.kernel", (config["hidden"], features), kind.WEIGHT, residual),
            ]
        return [*declared, norm("RMSNorm_0")]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.finewebedu_lm.generator import generate

        settings = self.base_settings
        return generate(settings.data, settings.model["vocabulary"], {s: settings.splits[s] for s in SPLITS})

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``ppl``, the exponential of the mean cross entropy per token, and that mean as ``loss``."""
        metrics = super().evaluate(batches)
        with np.errstate(over="ignore"):
            return {"ppl": float(np.exp(metrics["loss"])), **metrics}


WORKLOAD = FineWebEduLM
