"""Workloads whose mini data is generated and cached, and whose full data is the real thing, read by ``reader.py``."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import numpy as np

from harness.spec import Workload, WorkloadError
from workloads import real_data
from workloads.cache import Arrays, Cache, root

SPLITS = ("train", "validation", "test")
"""What a generator makes; ``eval_train`` is the head of ``train``."""


_PROPERTIES = ("groups",)
"""Arrays that a generator gives for resampling plans; no batch holds them."""


class GeneratedWorkload(Workload):
    """A workload that generates its mini splits, once per version and data configuration."""

    @abc.abstractmethod
    def generate(self) -> Mapping[str, Arrays]:
        """Arrays ``inputs`` and ``targets`` of every split in SPLITS, from the data configuration alone."""

    @property
    def cache(self) -> Cache:
        sizes = {split: self.base_settings.splits[split] for split in SPLITS}
        config = {**self.base_settings.data, "splits": sizes}
        return Cache(root(self.data_dir), self.name, self.version, config)

    def load_split(self, split: str) -> Mapping[str, np.ndarray]:
        if split not in self.base_settings.splits:
            raise WorkloadError(
                f"{self.name} has no split {split!r}; it has: {', '.join(sorted(self.base_settings.splits))}"
            )
        if self.scale == "full":
            return real_data.load_split(self.name, root(self.data_dir), split, self.base_settings)
        stored = "train" if split == "eval_train" else split
        arrays = self.cache.load(stored, self._generate_flat)
        size = self.base_settings.splits[split]
        return {name: array[:size] for name, array in arrays.items() if name not in _PROPERTIES}

    def groups(self) -> np.ndarray | None:
        if self.scale == "full":
            return None
        return self.cache.load("train", self._generate_flat).get("groups")

    def _generate_flat(self) -> Arrays:
        return {f"{split}_{name}": array for split, arrays in self.generate().items() for name, array in arrays.items()}
