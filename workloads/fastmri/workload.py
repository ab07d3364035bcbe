"""fastmri: knees from a quarter of the k-space, with a U-Net; fastMRI's single-coil track at full scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from harness.spec import EvalBatch, LossType, Metric, Parameter, ParameterType, Scale, Settings, Target, Variant
from workloads.fastmri.architecture import OUTPUT, Architecture
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.init_laws import lecun_normal, ones, zeros

_SWITCHES = {"size": "base", "activation": "leaky_relu", "norm": "instance"}


class FastMri(GeneratedWorkload):
    """An image from masked k-space in, the image from all of it out; mean absolute error; structural similarity."""

    name = "fastmri"
    version = 3
    summary = "images from a quarter of the k-space, U-Net"
    loss_type = LossType.MEAN_ABSOLUTE_ERROR
    metric = Metric("ssim", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "sizes": {"base": {"channels": 8, "pools": 3}, "wide": {"channels": 16, "pools": 2}},
            },
            data={"seed": 20260106, "side": 64, "slices": 8, "noise": 0.03},
            batch_size=10,
            eval_batch_size=32,
            step_hint=1_200,
            max_runtime_sec=120.0,
            eval_period_sec=4.8,
            eval_period_steps=60,
            splits={"train": 800, "eval_train": 128, "validation": 128, "test": 128},
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "sizes": {"base": {"channels": 32, "pools": 4}, "wide": {"channels": 64, "pools": 3}},
            },
            data={"side": 320},
            batch_size=32,
            eval_batch_size=256,
            step_hint=18_094,
            max_runtime_sec=2_745.0,
            eval_period_sec=110.0,
            splits={"train": 34_742, "eval_train": 3_584, "validation": 3_554, "test": 3_581},
            target=Target(0.723653, 0.740633),
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "model_size": Variant("twice the channels, one level less", {"size": "wide"}, Target(0.723559, 0.740726)),
        "tanh": Variant("tanh in place of the leaky ReLU", {"activation": "tanh"}, Target(0.717840, 0.734505)),
        "layernorm": Variant(
            "LayerNorm over the feature map in place of the blocks' instance norm",
            {"norm": "layer"},
            Target(0.723284, 0.739996),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        a = Architecture.of(self.model_config)
        declared: list[Parameter] = []
        for block in a.blocks():
            if block.up:
                declared.append(_kernel(f"{block.name}.ConvTranspose_0", 2, block.inputs, block.outputs))
            for index, inputs, outputs in block.convolutions():
                declared.append(_kernel(f"{block.name}.Conv_{index}", 3, inputs, outputs))
                declared += _norm(f"{block.name}.LayerNorm_{index}", outputs) if a.layer_norm else ()
        declared.append(_kernel(OUTPUT, 1, a.channels, 1, is_output=True))
        return [*declared, Parameter(f"{OUTPUT}.bias", (1,), ParameterType.BIAS, zeros, is_output=True)]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.fastmri.generator import generate

        settings = self.base_settings
        return generate(settings.data, {split: settings.splits[split] for split in SPLITS})

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> dict[str, np.ndarray]:
        """A fresh mask for every example."""
        from workloads.fastmri import sampling, scans

        return {**batch, "mask": sampling.training_masks(random, scans.widths(batch), batch["inputs"].shape[2])}

    def collate(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Images from stored scans, through the masks of :meth:`augment`, without which through the fixed one."""
        from workloads.fastmri import sampling, scans

        arrays: dict[str, Any] = dict(batch)
        mask = arrays.pop("mask", None)
        if mask is None:
            mask = np.zeros(arrays["inputs"].shape[::2][:2], bool)
            for row, width in zip(mask, scans.widths(batch), strict=True):
                row[:width] = sampling.evaluation_mask(int(width))
        return scans.reconstruct(arrays, mask, self.base_settings.data["side"])

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``ssim``, averaged over images, and the mean absolute error of standardised images as ``loss``."""
        from workloads.fastmri.metric import ssim

        found: list[np.ndarray] = []

        def measured() -> Iterator[EvalBatch]:
            for evaluated in batches:
                batch = evaluated.batch
                mean, std = (batch[name][:, None, None].astype(np.float64) for name in ("mean", "std"))
                images = (array * std + mean for array in (evaluated.fetch_logits(), batch["targets"]))
                found.append(ssim(*images, batch["volume_max"])[batch.get("weights", np.ones(len(mean))) > 0])
                yield evaluated

        metrics = super().evaluate(measured())
        return {"ssim": float(np.concatenate(found).mean()), **metrics}


def _kernel(name: str, window: int, inputs: int, outputs: int, is_output: bool = False) -> Parameter:
    shape = (window, window, inputs, outputs)
    return Parameter(f"{name}.kernel", shape, ParameterType.CONV_WEIGHT, lecun_normal(), is_output)


def _norm(name: str, features: int) -> Iterator[Parameter]:
    yield Parameter(f"{name}.scale", (features,), ParameterType.LAYER_NORM_SCALE, ones)
    yield Parameter(f"{name}.bias", (features,), ParameterType.LAYER_NORM_BIAS, zeros)


WORKLOAD = FastMri
