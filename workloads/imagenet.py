"""What the workloads on ImageNet share: pictures, how they are cut and standardised, the metric.

At mini scale the pictures are scenes, at full scale ILSVRC 2012 for training and validation, ImageNet-v2 for the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workloads import imagenet_folders, images, real_data, scenes
from workloads.cache import root
from workloads.classification import Classification
from workloads.generated import SPLITS, GeneratedWorkload

MINI_DATA: Mapping[str, Any] = {
    "seed": 20260106,
    "side": 48,
    "classes": 16,
    "palette_reliability": 0.6,
    "noise": 0.08,
    "shifted": {"palette_reliability": 0.3, "size": 0.85, "noise": 0.14},
    "shift": 3,
}
MINI_SPLITS: Mapping[str, int] = {"train": 6_000, "eval_train": 1_500, "validation": 1_500, "test": 1_500}
FULL_DATA: Mapping[str, Any] = {"side": 224, "short_side": 256}
FULL_SPLITS: Mapping[str, int] = {"train": 1_281_167, "validation": 50_000, "test": 10_000}
"""Without ``eval_train``, which AlgoPerf rounds up to whole batches of evaluation."""

_PIXEL_MEAN = {"mini": (scenes.PIXEL_MEAN,) * 3, "full": (0.485 * 255, 0.456 * 255, 0.406 * 255)}
_PIXEL_STD = {"mini": (scenes.PIXEL_STD,) * 3, "full": (0.229 * 255, 0.224 * 255, 0.225 * 255)}


class ImageNet(Classification, GeneratedWorkload):
    """Stored ``inputs`` are pixels, uint8 ``[n, side, side, 3]``, or (full) names of files; those of a batch are
    standardised, float32. Training pictures are shifted (mini), or cut at random and mirrored (full)."""

    @property
    def train_mean(self) -> tuple[float, ...]:
        return _PIXEL_MEAN[self.scale]

    @property
    def train_stddev(self) -> tuple[float, ...]:
        return _PIXEL_STD[self.scale]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        return scenes.generate(self.base_settings.data, {split: self.base_settings.splits[split] for split in SPLITS})

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> dict[str, np.ndarray]:
        """Training examples with ``inputs`` cut at random, uint8 ``[B, side, side, 3]``."""
        data, inputs = self.base_settings.data, batch["inputs"]
        if _are_files(inputs):
            pixels = images.random_mirror(images.random_crops(self._paths(inputs), data["side"], random), random)
        else:
            pixels = images.random_shift(inputs, data["shift"], random)
        return {**batch, "inputs": pixels}

    def collate(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``inputs`` standardised, float32 ``[B, side, side, 3]``; of files that were not cut yet the middle."""
        data, pixels = self.base_settings.data, batch["inputs"]
        if _are_files(pixels):
            pixels = images.centre_crops(self._paths(pixels), data["short_side"], data["side"])
        return {**batch, "inputs": images.standardise(pixels, self.train_mean, self.train_stddev)}

    def _paths(self, names: np.ndarray) -> list[Path]:
        return imagenet_folders.paths(real_data.data_folder(self.name, root(self.data_dir)), names)


def _are_files(inputs: np.ndarray) -> bool:
    return inputs.dtype.kind == "S"
