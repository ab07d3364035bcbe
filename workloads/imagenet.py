"""What the workloads on ImageNet share: pictures, how they are cut and standardised.

At mini scale the pictures are scenes, at full scale ILSVRC 2012 for training and validation, ImageNet-v2 for the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workloads import imagenet_folders, images, real_data, scenes
from workloads.cache import root
from workloads.pictures import Pictures

MINI_DATA: Mapping[str, Any] = {
    "seed": 20260106,
    "side": 48,
    "classes": 16,
    "palette_reliability": 0.6,
    "noise": 0.08,
    "shifted": {"palette_reliability": 0.3, "size": 0.85, "noise": 0.14},
    "pixel_mean": (scenes.PIXEL_MEAN,) * 3,
    "pixel_std": (scenes.PIXEL_STD,) * 3,
    "shift": 3,
    "mirror": False,
}
MINI_SPLITS: Mapping[str, int] = {"train": 6_000, "eval_train": 1_500, "validation": 1_500, "test": 1_500}
FULL_DATA: Mapping[str, Any] = {
    "side": 224,
    "short_side": 256,
    "pixel_mean": (0.485 * 255, 0.456 * 255, 0.406 * 255),
    "pixel_std": (0.229 * 255, 0.224 * 255, 0.225 * 255),
}
FULL_SPLITS: Mapping[str, int] = {"train": 1_281_167, "validation": 50_000, "test": 10_000}
"""Without ``eval_train``, which AlgoPerf rounds up to whole batches of evaluation."""


class ImageNet(Pictures):
    """At full scale stored ``inputs`` are names of files: training cuts and mirrors at random what it decodes."""

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> Mapping[str, np.ndarray]:
        """Training examples with ``inputs`` cut at random, uint8 ``[B, side, side, 3]``."""
        names = batch["inputs"]
        if not _are_files(names):
            return super().augment(batch, random)
        pixels = images.random_crops(self._paths(names), self.base_settings.data["side"], random)
        return {**batch, "inputs": images.random_mirror(pixels, random)}

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """``inputs`` standardised, float32 ``[B, side, side, 3]``; of files that were not cut yet the middle."""
        data, names = self.base_settings.data, batch["inputs"]
        if not _are_files(names):
            return super().collate(batch)
        pixels = images.centre_crops(self._paths(names), data["short_side"], data["side"])
        return super().collate({**batch, "inputs": pixels})

    def _paths(self, names: np.ndarray) -> list[Path]:
        return imagenet_folders.paths(real_data.data_folder(self.name, root(self.data_dir)), names)


def _are_files(inputs: np.ndarray) -> bool:
    return inputs.dtype.kind == "S"
