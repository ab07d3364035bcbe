"""Several pairs of sentences in one row, so that few places of a batch are padding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workloads.wmt.architecture import END, PAD

SIDES = ("inputs", "targets")


def rows_of(source_lengths: np.ndarray, target_lengths: np.ndarray, length: int) -> np.ndarray:
    """Where rows start, ``[rows + 1]``: row r holds the pairs from ``starts[r]`` up to ``starts[r + 1]``.

    Pairs stay in order; a row ends before the pair with which either side would have more than ``length`` tokens. No
    single pair may have more.
    """
    source_ends, target_ends = np.cumsum(source_lengths), np.cumsum(target_lengths)
    starts = [0]
    while starts[-1] < len(source_lengths):
        start = starts[-1]
        before = (source_ends[start - 1], target_ends[start - 1]) if start else (0, 0)
        fits = (int(np.searchsorted(ends, b + length, side="right")) for ends, b in
                zip((source_ends, target_ends), before, strict=True))  # fmt: skip
        starts.append(max(min(fits), start + 1))
    return np.array(starts, np.int64)


def padded(tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """Slices ``tokens[starts[i]:ends[i]]``, cut at ``length`` and padded with PAD, int32 ``[n, length]``."""
    place = starts[:, None] + np.arange(length)
    inside = place < ends[:, None]
    return np.where(inside, tokens[np.where(inside, place, 0)], PAD).astype(np.int32)


def pack_arrays(inputs: np.ndarray, targets: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Padded pairs ``[n, any]`` as rows ``[m, length]``."""
    lengths = [(side != PAD).sum(axis=1) for side in (inputs, targets)]
    starts = rows_of(*lengths, length)
    rows = {}
    for name, side, count in zip(SIDES, (inputs, targets), lengths, strict=True):
        bounds = np.concatenate(([0], np.cumsum(count)))[starts]
        rows[name] = padded(side[side != PAD], bounds[:-1], bounds[1:], length)
    return rows


def annotated(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch of packed rows with, per side, ``*_segmentation`` (1, 2, ... for the pairs of a row, 0 for padding) and
    ``*_position`` (from 0 in each pair), int32. A pair ends with END, which stands nowhere else."""
    found = dict(batch)
    for name in SIDES:
        ids = np.asarray(batch[name])
        begins = np.concatenate((np.ones_like(ids[:, :1], bool), ids[:, :-1] == END), axis=1)
        place = np.arange(ids.shape[1])
        position = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)
        found[f"{name}_segmentation"] = (np.cumsum(begins, axis=1) * (ids != PAD)).astype(np.int32)
        found[f"{name}_position"] = (position * (ids != PAD)).astype(np.int32)
    return found
