"""cifar: a residual network of 18 layers for small pictures; CIFAR-10 at full scale, scenes at mini scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from harness.spec import LossType, Metric, Parameter, Scale, Settings, Statistic, Target
from workloads import scenes
from workloads.pictures import Pictures
from workloads.resnet import architecture

_MODEL: Mapping[str, Any] = {
    "block": "basic",
    "stem": "small",
    "stages": (2, 2, 2, 2),
    "classes": 10,
    "activation": "relu",
    "last_scale": 0.0,
}


class Cifar(Pictures):
    """ResNet-18 with a small stem."""

    name = "cifar"
    version = 2
    summary = "small pictures of 10 classes, residual network"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("accuracy", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={**_MODEL, "width": 8},
            data={
                "seed": 20260107,
                "side": 32,
                "classes": 10,
                "palette_reliability": 0.4,
                "noise": 0.08,
                "shifted": {"palette_reliability": 0.2, "size": 0.85, "noise": 0.14},
                "pixel_mean": (scenes.PIXEL_MEAN,) * 3,
                "pixel_std": (scenes.PIXEL_STD,) * 3,
                "shift": 2,
                "mirror": False,
            },
            batch_size=512,  # with 64 Nesterov is as fast as NAdamW
            eval_batch_size=100,  # larger ones fall out of the processor's cache, and cost half as much again
            step_hint=180,
            max_runtime_sec=300.0,
            eval_period_sec=7.5,
            eval_period_steps=8,
            splits={"train": 5_000, "eval_train": 1_500, "validation": 1_500, "test": 1_500},
        ),
        "full": Settings(
            model={**_MODEL, "width": 64},
            data={
                "pixel_mean": (0.4914 * 255, 0.4822 * 255, 0.4465 * 255),
                "pixel_std": (0.2470 * 255, 0.2435 * 255, 0.2616 * 255),
                "shift": 4,
                "mirror": True,
            },
            batch_size=1_024,
            eval_batch_size=1_024,
            step_hint=4_883,
            max_runtime_sec=3_600.0,
            eval_period_sec=600.0,
            splits={"train": 45_000, "eval_train": 5_120, "validation": 5_000, "test": 10_000},
            target=Target(0.85, 0.85),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        return architecture.parameters(self.model_config)

    def statistics(self) -> Sequence[Statistic]:
        return architecture.statistics(self.model_config)


WORKLOAD = Cifar
