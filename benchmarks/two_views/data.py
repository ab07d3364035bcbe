"""Data sets of several views, and stratified splits of them.

Examples are ordered by class everywhere, each class with as many: a split is an array of indices in that order, so that
labels need not be carried along.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

CLASSES, FEATURES, PER_CLASS = 5, 10, 80
EXAMPLES = CLASSES * PER_CLASS
CUT = round(2 / 3 * PER_CLASS)
"""Examples of a class that random splits train on."""
VIEWS = 3
SEPARATION = 2.0
"""Distance of each class mean from the origin, in SDs of a feature; the means are at right angles to each other."""


def make_data(rng: np.random.Generator, count: int, extra_noise: float = 1.0) -> np.ndarray:
    """Data sets ``(count, examples, views + 1, features + 1)``, float32; the last feature is 1, for the bias.

    All views of a data set share the class means, a frame in random directions, and differ in their noise. The last
    view is the second with its noise times ``extra_noise``: what a slightly worse algorithm sees.
    """
    frame, _ = np.linalg.qr(rng.standard_normal((count, FEATURES, CLASSES)))
    means = np.repeat(SEPARATION * np.swapaxes(frame, 1, 2), PER_CLASS, axis=1)
    noise = rng.standard_normal((count, EXAMPLES, VIEWS, FEATURES))
    noise = np.concatenate([noise, extra_noise * noise[:, :, 1:2]], axis=2)
    data = np.ones((count, EXAMPLES, VIEWS + 1, FEATURES + 1), dtype=np.float32)
    data[..., :FEATURES] = means[:, :, None] + noise
    return data


def _shuffled(rng: np.random.Generator, count: int, rounds: int) -> np.ndarray:
    """Indices ``(count, rounds, classes, per class)``, each class in an order of its own."""
    within = np.broadcast_to(np.arange(PER_CLASS), (count, rounds, CLASSES, PER_CLASS))
    return rng.permuted(within, axis=-1) + PER_CLASS * np.arange(CLASSES)[:, None]


def _pair(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return train.reshape(*train.shape[:-2], -1), test.reshape(*test.shape[:-2], -1)


def halves(rng: np.random.Generator, count: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Each of ``rounds`` random halvings used both ways: slots 2r and 2r + 1 train on opposite halves."""
    order, half = _shuffled(rng, count, rounds), PER_CLASS // 2
    first, second = order[..., :half], order[..., half:]
    train = np.stack([first, second], axis=2).reshape(count, 2 * rounds, CLASSES, half)
    test = np.stack([second, first], axis=2).reshape(count, 2 * rounds, CLASSES, half)
    return _pair(train, test)


def folds(rng: np.random.Generator, count: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """One k-fold cross-validation, slot i testing on fold i."""
    size = PER_CLASS // k
    order = _shuffled(rng, count, 1)
    rolled = np.concatenate([np.roll(order, -size * i, axis=-1) for i in range(k)], axis=1)
    return _pair(rolled[..., size:], rolled[..., :size])


def resamples(rng: np.random.Generator, count: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Random splits, two thirds to train on."""
    order = _shuffled(rng, count, rounds)
    return _pair(order[..., :CUT], order[..., CUT:])


def one_split(rng: np.random.Generator, count: int, studies: int) -> tuple[np.ndarray, np.ndarray]:
    """One random halving, the same for all studies: only their seeds differ."""
    order, half = np.repeat(_shuffled(rng, count, 1), studies, axis=1), PER_CLASS // 2
    return _pair(order[..., :half], order[..., half:])


@dataclasses.dataclass(frozen=True)
class Design:
    """How one comparison spends its runs.

    Attributes:
      words: for tables.
      splits: (generator, data sets, slots) to training and test indices ``(data sets, slots, examples)``.
      rounds: argument of ``splits``.
      workloads: data sets that make up one comparison.
      third: whether a third algorithm takes part, for the omnibus tests.
    """

    words: str
    splits: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
    rounds: int
    workloads: int = 1
    third: bool = False


DESIGNS = {
    "5x2cv": Design("5 x 2 halves", halves, 5),
    "k-fold": Design("10 folds", folds, 10),
    "resampled": Design("15 random splits, 2/3 to 1/3", resamples, 15),
    "studies": Design("1 split, 8 seeds each", one_split, 8, third=True),
    "workloads": Design("8 workloads, 3 seeds each", one_split, 3, workloads=8, third=True),
}
