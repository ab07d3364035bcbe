"""imagenet_resnet: a residual network of 50 layers (mini: 14); ILSVRC 2012 at full scale, scenes at mini scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from harness.spec import LossType, Metric, Parameter, Scale, Settings, Statistic, Target, Variant
from workloads.imagenet import FULL_DATA, FULL_SPLITS, MINI_DATA, MINI_SPLITS, ImageNet
from workloads.resnet import architecture

_MODEL: Mapping[str, Any] = {"block": "bottleneck", "stem": "large", "activation": "relu", "last_scale": 0.0}

_HARDER_DATA: Mapping[str, Any] = {
    **MINI_DATA,
    "palette_reliability": 0.45,
    "noise": 0.14,
    "shifted": {"palette_reliability": 0.2, "size": 0.85, "noise": 0.2},
}
"""Harder than what the vision transformer looks at: palettes lie more often, and there is more noise."""


class ImagenetResnet(ImageNet):
    """ResNet-50 with the stride on the 3x3 convolutions."""

    name = "imagenet_resnet"
    version = 3
    summary = "pictures of 16 (full: 1,000) classes, residual network"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("accuracy", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={**_MODEL, "stages": (1, 1, 1, 1), "width": 16, "classes": MINI_DATA["classes"]},
            data=_HARDER_DATA,
            batch_size=512,  # with 64 Nesterov is as fast as NAdamW
            eval_batch_size=100,  # larger ones fall out of the processor's cache, and cost half as much again
            step_hint=260,
            max_runtime_sec=300.0,
            eval_period_sec=7.5,
            eval_period_steps=10,
            splits={**MINI_SPLITS, "train": 4_000},
        ),
        "full": Settings(
            model={**_MODEL, "stages": (3, 4, 6, 3), "width": 64, "classes": 1_000},
            data=FULL_DATA,
            batch_size=1_024,
            eval_batch_size=1_024,
            step_hint=195_999,
            max_runtime_sec=49_918.0,
            eval_period_sec=1_996.0,
            splits={**FULL_SPLITS, "eval_train": 50_176},
            target=Target(0.77431, 0.6560),
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "silu": Variant("SiLU in place of ReLU", {"activation": "silu"}, Target(0.75445, 0.6323)),
        "gelu": Variant("GELU (tanh form) in place of ReLU", {"activation": "gelu"}, Target(0.76765, 0.6519)),
        "large_bn_init": Variant(
            "the last norm of each residual branch starts with a scale of 8",
            {"last_scale": 8.0},
            Target(0.76526, 0.6423),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        return architecture.parameters(self.model_config)

    def statistics(self) -> Sequence[Statistic]:
        return architecture.statistics(self.model_config)


WORKLOAD = ImagenetResnet
