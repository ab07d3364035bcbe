"""What both speech workloads are: data, masks, batches and metric. A workload adds its model."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.spec import EvalBatch, LossType, Metric
from workloads import real_data
from workloads.cache import Cache, root
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.speech.front_end import FrontEnd
from workloads.speech.normalisation import LIBRISPEECH_MEAN, LIBRISPEECH_STDDEV

DATA_VERSION = 1
"""Raised with the mini data; both workloads read the same."""

MINI_DATA: Mapping[str, Any] = {
    "seed": 20260107,
    "sample_rate": 8_000,
    "max_samples": 12_000,
    "max_tokens": 24,
    "words": 80,
    "words_per_utterance": (2, 4),
    "speakers": 60,
    "snr_db": (8.0, 25.0),
}
FULL_DATA: Mapping[str, Any] = {"max_samples": 320_000, "max_tokens": 256}

MINI_SPLITS: Mapping[str, int] = {"train": 1_200, "eval_train": 80, "validation": 160, "test": 160}
FULL_SPLITS: Mapping[str, int] = {"train": 263_840, "eval_train": 5_376, "validation": 5_348, "test": 2_472}

MINI_MODEL: Mapping[str, Any] = {
    "front_end": {
        "sample_rate": MINI_DATA["sample_rate"],
        "samples": MINI_DATA["max_samples"],
        "bins": 40,
        "lowest": 80.0,
        "highest": 3_900.0,
        "mean": -2.4,
        "stddev": 3.0,
    },
    "masking": "base",
    "maskings": {
        "base": {"frequency_masks": 2, "frequency_bins": 8, "time_masks": 3, "time_ratio": 0.06},
        "strong": {"frequency_masks": 4, "frequency_bins": 8, "time_masks": 5, "time_ratio": 0.06},
    },
    "classes": 21,
    "statistics_decay": 0.99,
}
FULL_MODEL: Mapping[str, Any] = {
    "front_end": {
        "sample_rate": 16_000,
        "samples": FULL_DATA["max_samples"],
        "bins": 80,
        "lowest": 125.0,
        "highest": 7_600.0,
        "mean": LIBRISPEECH_MEAN,
        "stddev": LIBRISPEECH_STDDEV,
    },
    "masking": "base",
    "maskings": {
        "base": {"frequency_masks": 2, "frequency_bins": 27, "time_masks": 10, "time_ratio": 0.05},
        "strong": {"frequency_masks": 4, "frequency_bins": 27, "time_masks": 15, "time_ratio": 0.05},
    },
    "classes": 1_024,
    "statistics_decay": 0.999,
}
"""The front end, SpecAugment (a variant may choose another of ``maskings``), the number of classes with the blank,
and how much of the running statistics of batch normalisation a step keeps."""


class SpeechWorkload(GeneratedWorkload):
    """Transcribes utterances with connectionist temporal classification; word error rate of greedy decoding.

    A batch holds ``inputs = (audio, paddings)`` and ``targets = (ids, paddings)``, 1 where an entry is padding, and in
    training the masks of SpecAugment; see ``workloads.speech.batches``.
    """

    loss_type = LossType.CTC_LOSS
    metric = Metric("wer", "minimize")

    @property
    def cache(self) -> Cache:
        sizes = {split: self.base_settings.splits[split] for split in SPLITS}
        return Cache(root(self.data_dir), "speech", DATA_VERSION, {**self.base_settings.data, "splits": sizes})

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.speech.generator import generate

        return generate(self.base_settings.data, {split: self.base_settings.splits[split] for split in SPLITS})

    @functools.cached_property
    def front_end(self) -> FrontEnd:
        return FrontEnd.of(self.model_config)

    def augment(self, batch: Mapping[str, Any], random: np.random.RandomState) -> dict[str, Any]:
        """Draws the masks of SpecAugment."""
        from workloads.speech.batches import Masking, masked

        masking = Masking(**self.model_config["maskings"][self.model_config["masking"]])
        return masked(batch, random, masking, self.front_end)

    def collate(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        from workloads.speech.batches import collate

        data = self.base_settings.data
        return collate(batch, data["max_samples"], data["max_tokens"])

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``wer`` by words of greedily decoded outputs, and the mean CTC loss of a target token as ``loss``."""
        from workloads.speech.metric import WordErrors

        counted = WordErrors(self.decode)

        def kept() -> Iterator[EvalBatch]:
            for evaluated in batches:
                counted.add(evaluated)
                yield evaluated

        metrics = super().evaluate(kept())
        return {"wer": counted.rate, **metrics}

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        return self._vocabulary.decode(ids)

    @functools.cached_property
    def _vocabulary(self) -> Any:
        if self.scale == "full":
            from workloads.speech.librispeech import vocabulary_of

            return vocabulary_of(real_data.data_folder(self.name, root(self.data_dir)))
        from workloads.speech.generator import VOCABULARY

        return VOCABULARY
