"""Workloads that classify pictures: what is stored, how training pictures vary, what the model gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workloads import images, scenes
from workloads.classification import Classification
from workloads.generated import SPLITS, GeneratedWorkload


class Pictures(Classification, GeneratedWorkload):
    """Stored ``inputs`` are pixels, uint8 ``[n, side, side, 3]``; those of a batch are standardised, float32.

    The data configuration has ``pixel_mean`` and ``pixel_std`` per channel; ``shift``, by how many pixels training
    pictures move at most; ``mirror``, whether every other one is mirrored; and at mini scale what ``scenes`` asks for.
    """

    @property
    def train_mean(self) -> Sequence[float]:
        return self.base_settings.data["pixel_mean"]

    @property
    def train_stddev(self) -> Sequence[float]:
        return self.base_settings.data["pixel_std"]

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        return scenes.generate(self.base_settings.data, {split: self.base_settings.splits[split] for split in SPLITS})

    def augment(self, batch: Mapping[str, np.ndarray], random: np.random.RandomState) -> Mapping[str, np.ndarray]:
        data = self.base_settings.data
        pixels = images.random_shift(batch["inputs"], data["shift"], random)
        return {**batch, "inputs": images.random_mirror(pixels, random) if data["mirror"] else pixels}

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return {**batch, "inputs": images.standardise(batch["inputs"], self.train_mean, self.train_stddev)}
