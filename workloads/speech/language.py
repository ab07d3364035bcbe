"""A small made-up language: words spelled by the phones they are pronounced with, in sentences of a sparse bigram."""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.speech.phones import CONSONANTS, VOWELS

_SHAPES = ("CV", "CVC", "CVCV", "VC", "CVCVC")
_SHAPE_CHANCES = (0.25, 0.35, 0.2, 0.08, 0.12)
_FOLLOWERS = 8
"""Words that may come after a word."""


@dataclasses.dataclass(frozen=True)
class Language:
    """Words, and for each word those that may follow it (``followers [words, 8]``), likeliest first."""

    words: tuple[str, ...]
    followers: np.ndarray

    @classmethod
    def invent(cls, rng: np.random.RandomState, words: int) -> Language:
        """Distinct words of two to five phones."""
        found: dict[str, None] = {}
        while len(found) < words:
            shape = _SHAPES[_choice(rng, _SHAPE_CHANCES)]
            found["".join(_one_of(rng, CONSONANTS if kind == "C" else VOWELS) for kind in shape)] = None
        followers = np.stack([rng.permutation(words)[:_FOLLOWERS] for _ in range(words)])
        return cls(tuple(found), followers)

    def sentence(self, rng: np.random.RandomState, length: int) -> str:
        """``length`` words, with spaces between them."""
        chances = 1.0 / np.arange(1, _FOLLOWERS + 1)
        word = int(rng.randint(len(self.words)))
        spoken = [word]
        for _ in range(length - 1):
            word = int(self.followers[word, _choice(rng, chances / chances.sum())])
            spoken.append(word)
        return " ".join(self.words[word] for word in spoken)


def _choice(rng: np.random.RandomState, chances: np.ndarray | tuple[float, ...]) -> int:
    return int(np.searchsorted(np.cumsum(chances)[:-1], rng.random_sample(), side="right"))


def _one_of(rng: np.random.RandomState, letters: str) -> str:
    return letters[rng.randint(len(letters))]
