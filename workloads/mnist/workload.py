"""mnist: digits and a perceptron with one hidden layer; AlgoPerf's development workload, and ours for seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from harness.spec import LossType, Metric, Parameter, ParameterType, Scale, Settings, Target, Variant
from workloads.classification import Classification
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.init_laws import lecun_normal, normal, zeros

_MODEL = {"inputs": 784, "hidden": 128, "classes": 10, "activation": "sigmoid", "kernel_std": None}


class Mnist(Classification, GeneratedWorkload):
    """784-128-10 sigmoid network."""

    name = "mnist"
    version = 2
    summary = "handwritten digits, 784-128-10 perceptron"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("accuracy", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model=_MODEL,
            data={
                "seed": 20260101,
                "pools": {"train": 1197, "validation": 300, "test": 300},
                "rotation": 0.25,
                "shear": 0.25,
                "log_scale": 0.2,
                "shift": 0.15,
                "warp": 0.12,
                "noise": 0.1,
                "pixel_mean": 64.0,
                "pixel_std": 80.0,
            },
            batch_size=64,
            eval_batch_size=2000,
            step_hint=6000,
            max_runtime_sec=15.0,
            eval_period_sec=0.75,
            eval_period_steps=250,
            splits={"train": 10_000, "eval_train": 2_000, "validation": 2_000, "test": 2_000},
        ),
        "full": Settings(
            model=_MODEL,
            data={"pixel_mean": 0.1307, "pixel_std": 0.3081},
            batch_size=64,
            eval_batch_size=10_000,
            step_hint=7_813,
            max_runtime_sec=60.0,
            eval_period_sec=10.0,
            splits={"train": 50_000, "eval_train": 10_000, "validation": 10_000, "test": 10_000},
            target=Target(0.97, 0.97),
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "relu": Variant("ReLU in place of the sigmoid", {"activation": "relu"}),
        "large_init": Variant("kernels from N(0, 0.25^2): a saturated start", {"kernel_std": 0.25}),
    }

    def parameters(self) -> Sequence[Parameter]:
        config = self.model_config
        law = lecun_normal() if config["kernel_std"] is None else normal(config["kernel_std"])
        inputs, hidden, classes = config["inputs"], config["hidden"], config["classes"]
        return [
            Parameter("Dense_0.kernel", (inputs, hidden), ParameterType.WEIGHT, law),
            Parameter("Dense_0.bias", (hidden,), ParameterType.BIAS, zeros),
            Parameter("Dense_1.kernel", (hidden, classes), ParameterType.WEIGHT, law, is_output=True),
            Parameter("Dense_1.bias", (classes,), ParameterType.BIAS, zeros, is_output=True),
        ]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.mnist.generator import generate

        return generate(self.base_settings.data, {split: self.base_settings.splits[split] for split in SPLITS})


WORKLOAD = Mnist
