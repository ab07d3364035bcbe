"""Seeds: digests of named axes, so that every stream is independent and nothing depends on Python's salted hash."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harness.spec import Parameter, RandomState, Statistic


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON of ``data`` (sorted keys, no spaces), in hexadecimal."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":"), default=list).encode()).hexdigest()


def derive(**axes: str | int) -> int:
    """A seed in [0, 2**32) from named axes, for example ``derive(seed=0, workload="mnist", study=1)``."""
    return int(digest(axes)[:8], 16)


def key_words(seed: int, stream: int) -> np.ndarray:
    """Two uint32 words: the raw form of a random key in both frameworks."""
    return np.random.SeedSequence((seed, stream)).generate_state(2, np.uint32)


def key_stream(seed: int, per_step: int) -> Iterator[np.ndarray]:
    """Endless keys for the steps of a trial, ``[per_step, 2]`` uint32 each; made in blocks, which is cheap."""
    for block in itertools.count():
        words = np.random.SeedSequence((seed, block)).generate_state(2 * per_step * _KEY_BLOCK, np.uint32)
        yield from words.reshape(_KEY_BLOCK, per_step, 2)


_KEY_BLOCK = 256


def seed_of_key(rng: RandomState) -> int:
    """A seed from a random key that a submission or the harness holds (an integer, or an array of integers)."""
    return derive(key=",".join(str(int(word)) for word in np.asarray(rng).ravel()))


def draw_parameters(parameters: Sequence[Parameter], seed: int) -> Mapping[str, np.ndarray]:
    """Initial values by name. Each tensor has a stream of its own, so that adding one moves no other."""
    return {p.name: p.init(np.random.RandomState(derive(seed=seed, parameter=p.name)), p.shape) for p in parameters}


def initial_statistics(statistics: Sequence[Statistic]) -> Mapping[str, np.ndarray]:
    """Initial values of a model's state by name, float32."""
    return {s.name: np.full(s.shape, s.initial, np.float32) for s in statistics}
