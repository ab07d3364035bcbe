"""Stored utterances -> batches as AlgoPerf's speech models take them, with the masks of SpecAugment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from workloads.speech.front_end import FrontEnd


@dataclasses.dataclass(frozen=True)
class Masking:
    """How much SpecAugment hides (Park et al. 2019, arXiv 1904.08779), as AlgoPerf draws it.

    Attributes:
      frequency_masks: bands per utterance.
      frequency_bins: a band is narrower than this.
      time_masks: stretches per utterance.
      time_ratio: a stretch is at most this part of the utterance.
    """

    frequency_masks: int
    frequency_bins: int
    time_masks: int
    time_ratio: float

    def draw(self, random: np.random.RandomState, frames: np.ndarray, bins: int) -> dict[str, np.ndarray]:
        """``time_masks`` int32 ``[B, time_masks, 2]`` and ``frequency_masks`` int32 ``[B, frequency_masks, 2]``: the
        first hidden frame or bin, and the first visible one after it.

        Args:
          random: the source of the draws.
          frames: unpadded frames of each utterance, ``[B]``.
          bins: mel bins of a frame.
        """
        frames = np.asarray(frames)[:, None]
        shape = len(frames), self.time_masks
        stretches = _spans(random, shape, self.time_ratio * frames, frames)
        shape = len(frames), self.frequency_masks
        bands = _spans(random, shape, min(self.frequency_bins, bins), bins)
        return {"time_masks": stretches, "frequency_masks": bands}


def _spans(random: np.random.RandomState, shape: tuple[int, int], longest: Any, length: Any) -> np.ndarray:
    """``[*shape, 2]``: spans within ``length`` whose size is uniform below ``longest``, both rounded down."""
    size, start = random.random_sample((2, *shape))
    size = np.floor(size * longest)
    start = np.floor(start * (length - size + 1))
    return np.stack([start, start + size], axis=-1).astype(np.int32)


def masked(batch: Mapping[str, Any], random: np.random.RandomState, masking: Masking, end: FrontEnd) -> dict[str, Any]:
    """Stored utterances with masks beside them; the model applies them in training."""
    return {**batch, **masking.draw(random, end.frames_of(batch["lengths"]), end.bins)}


def collate(batch: Mapping[str, np.ndarray], max_samples: int, max_tokens: int) -> dict[str, Any]:
    """Paddings beside audio and targets, 1 where an entry is padding; every batch has the same two widths.

    Args:
      batch: ``inputs`` ``[B, <= max_samples]`` of 16-bit samples, ``lengths`` ``[B]`` in samples, ``targets``
        ``[B, <= max_tokens]``, 0 after the end, and whatever else.

    Returns:
      ``inputs``: audio and its paddings, float32 ``[B, max_samples]``; ``targets``: ids int32 and their paddings
      float32 ``[B, max_tokens]``; the rest as it is.
    """
    audio, targets = _widened(batch["inputs"], max_samples), _widened(batch["targets"], max_tokens)
    audio_paddings = (np.arange(max_samples) >= batch["lengths"][:, None]).astype(np.float32)
    target_paddings = (targets == 0).astype(np.float32)
    return {
        **{name: array for name, array in batch.items() if name != "lengths"},
        "inputs": (audio.astype(np.float32), audio_paddings),
        "targets": (targets.astype(np.int32), target_paddings),
    }


def _widened(array: np.ndarray, width: int) -> np.ndarray:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing))) if missing else array
