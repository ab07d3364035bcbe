"""imagenet_vit: pictures and a vision transformer, with mixup and RandAugment; ViT S/16 at full scale."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from harness.spec import LossType, Metric, Parameter, ParameterType, Scale, Settings, Target, Variant
from workloads import declared
from workloads.imagenet import FULL_DATA, FULL_SPLITS, MINI_DATA, MINI_SPLITS, ImageNet
from workloads.imagenet_vit.architecture import CHANNELS, Architecture
from workloads.imagenet_vit.mixup import mixup
from workloads.imagenet_vit.randaugment import OPERATIONS, randaugment
from workloads.init_laws import lecun_normal, normal, xavier_uniform, zeros

_SWITCHES = {"glu": False, "post_ln": False, "map_head": False}
_MLP_BIAS = normal(1e-6)


class ImageNetViT(ImageNet):
    """Patches with fixed positions, pre-LayerNorm blocks, mean of the tokens; softmax cross entropy; accuracy."""

    name = "imagenet_vit"
    version = 2
    summary = "pictures, vision transformer"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("accuracy", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "side": 48,
                "patch": 8,
                "width": 64,
                "depth": 4,
                "heads": 4,
                "hidden": 128,
                "classes": 16,
            },
            data={**MINI_DATA, "mixup": 0.2, "layers": 0, "operations": ()},
            batch_size=64,
            eval_batch_size=250,
            step_hint=1_200,
            max_runtime_sec=150.0,
            eval_period_sec=6.0,
            eval_period_steps=40,
            splits={**MINI_SPLITS, "train": 3_000, "eval_train": 500, "validation": 1_000, "test": 1_000},
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "side": 224,
                "patch": 16,
                "width": 384,
                "depth": 12,
                "heads": 6,
                "hidden": 1536,
                "classes": 1000,
            },
            data={**FULL_DATA, "mixup": 0.2, "layers": 2, "operations": tuple(OPERATIONS)},
            batch_size=1_024,
            eval_batch_size=2_048,
            step_hint=167_999,
            max_runtime_sec=64_292.0,
            eval_period_sec=2_571.0,
            splits={**FULL_SPLITS, "eval_train": 51_200},
            target=Target(1 - 0.22691, 0.6519),
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "glu": Variant(
            "the hidden features of each MLP are multiplied by a Dense of themselves",
            {"glu": True},
            Target(0.75738, 0.6359),
        ),
        "post_ln": Variant(
            "LayerNorm behind each residual sum, none at the end", {"post_ln": True}, Target(0.75312, 0.6286)
        ),
        "map": Variant(
            "a learned query attends to the tokens, in place of their mean", {"map_head": True}, Target(0.77113, 0.6523)
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        a = Architecture.of(self.model_config)
        kernel = (a.patch, a.patch, CHANNELS, a.width)
        declarations = [
            Parameter("Conv_0.kernel", kernel, ParameterType.CONV_WEIGHT, lecun_normal()),
            Parameter("Conv_0.bias", (a.width,), ParameterType.BIAS, zeros),
        ]
        for block in a.blocks:
            declarations += [
                *declared.layer_norm(f"{block}.LayerNorm_0", a.width),
                *declared.attention(f"{block}.Attention_0", a.width, a.heads, bias=True),
                *declared.layer_norm(f"{block}.LayerNorm_1", a.width),
                *_mlp(f"{block}.MLP_0", a),
            ]
        if not a.post_ln:
            declarations += declared.layer_norm("LayerNorm_0", a.width)
        if a.map_head:
            declarations += [
                Parameter("MAPHead_0.probe", (1, 1, a.width), ParameterType.WEIGHT, xavier_uniform),
                *declared.attention("MAPHead_0.Attention_0", a.width, a.heads, bias=True),
                *declared.layer_norm("MAPHead_0.LayerNorm_0", a.width),
                *_mlp("MAPHead_0.MLP_0", a),
            ]
        return [
            *declarations,
            *declared.dense("Dense_0", a.width, a.width),
            *declared.dense("Dense_1", a.width, a.classes, zeros, is_output=True),
        ]

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> dict[str, np.ndarray]:
        """Pictures cut at random, then RandAugment and mixup; ``targets`` become probabilities ``[B, classes]``."""
        batch, data = super().augment(batch, random), self.base_settings.data
        pixels = randaugment(batch["inputs"], data["operations"], data["layers"], random)
        pixels, targets = mixup(pixels, batch["targets"], self.model_config["classes"], data["mixup"], random)
        return {**batch, "inputs": pixels, "targets": targets}


def _mlp(name: str, a: Architecture) -> list[Parameter]:
    widths = [a.width, a.hidden, *([a.hidden] if a.glu else []), a.width]
    return [
        parameter
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths))
        for parameter in declared.dense(f"{name}.Dense_{index}", inputs, outputs, xavier_uniform, _MLP_BIAS)
    ]


WORKLOAD = ImageNetViT
