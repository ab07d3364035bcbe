"""Who is compared with whom, the simulated runs, and what is measured of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from benchmarks.two_views import data
from benchmarks.two_views.data import Design
from benchmarks.two_views.trainer import Recipe, Trained, train

RUNS_AT_ONCE = 192
PILOT_DATA_SETS = 200
PENALTY = 2.0
EXTRA_NOISE = 1.2
_PILOT = 1_000


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """A view, a learning rate (the reference's over ``slower``), and a stream of seeds."""

    view: int
    slower: float = 1.0
    stream: int = 0


ALGORITHMS = {
    "A": Algorithm(0),
    "A, other seeds": Algorithm(0, stream=1),
    "A, third seeds": Algorithm(0, stream=2),
    "B": Algorithm(1),
    "B, 1.25x slower": Algorithm(1, slower=1.25),
    "B, 1.7x slower": Algorithm(1, slower=1.7),
    "B, 2.5x slower": Algorithm(1, slower=2.5),
    "B, noisier view": Algorithm(data.VIEWS),
    "C": Algorithm(2),
}
"""C and A with third seeds are the third ones of the omnibus tests."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """One algorithm's runs in one design: errors ``(data sets, slots, evaluations)``, and the answers of slot 0."""

    errors: np.ndarray
    right: np.ndarray


@dataclasses.dataclass(frozen=True)
class Responses:
    """What is measured of runs, ``(data sets, slots)`` each.

    Attributes:
      error: at the budget.
      steps: to the target, or the budget of a miss.
      reached: or not.
      log_time: ln steps, a miss counting as twice the budget (PAR2).
      right: answers of slot 0 at the budget, ``(data sets, tested)``.
    """

    error: np.ndarray
    steps: np.ndarray
    reached: np.ndarray
    log_time: np.ndarray
    right: np.ndarray

    def of(self, comparison: int, workloads: int) -> Responses:
        """The part that belongs to one comparison, with ``workloads`` data sets."""
        rows = slice(comparison * workloads, (comparison + 1) * workloads)
        return Responses(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))


def _chunks(
    design: Design, count: int, key: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]]:
    """At least ``count`` data sets with training and test indices, and the key of their seeds.

    Chunks are always full, so that the first data sets and their runs are the same for any count.
    """
    slots = design.splits(np.random.default_rng(0), 1, design.rounds)[0].shape[1]
    size = max(1, RUNS_AT_ONCE // slots)
    for number in range(-(-count // size)):
        rng = np.random.default_rng([*key, number])
        sets = data.make_data(rng, size, EXTRA_NOISE)
        trained, tested = design.splits(rng, size, design.rounds)
        yield sets, trained, tested, (*key, number)


def _train(sets: np.ndarray, trained: np.ndarray, tested: np.ndarray, who: Algorithm, seeds, recipe: Recipe) -> Trained:
    own = np.repeat(np.arange(len(sets)), trained.shape[1])[:, None]
    inputs, held_out = (sets[own, index.reshape(len(own), -1), who.view] for index in (trained, tested))
    rng = np.random.default_rng([*seeds, 1 + who.stream])
    return train(rng, inputs, held_out, data.CLASSES, recipe.learning_rate / who.slower, recipe)


def simulate(design: str, names: list[str], comparisons: int, seed: int, recipe: Recipe) -> dict[str, Runs]:
    """The runs of the named algorithms, all on the same data sets and splits."""
    plan, key = data.DESIGNS[design], (seed, list(data.DESIGNS).index(design))
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    for sets, trained, tested, seeds in _chunks(plan, comparisons * plan.workloads, key):
        for name in names:
            result = _train(sets, trained, tested, ALGORITHMS[name], seeds, recipe)
            by_slot = result.errors.reshape(*trained.shape[:2], -1).astype(np.float32)
            found[name].append((by_slot, result.right.reshape(*tested.shape)[:, 0]))
    kept = comparisons * plan.workloads
    return {
        name: Runs(*(np.concatenate(part)[:kept] for part in zip(*parts, strict=True))) for name, parts in found.items()
    }


@functools.lru_cache(maxsize=8)
def _pilot(design: str, seed: int, recipe: Recipe) -> np.ndarray:
    """Best errors of A's runs on data sets that take no part in comparisons."""
    key = (seed, _PILOT + list(data.DESIGNS).index(design))
    best = [
        _train(sets, trained, tested, ALGORITHMS["A"], seeds, recipe).errors.min(axis=1)
        for sets, trained, tested, seeds in _chunks(data.DESIGNS[design], PILOT_DATA_SETS, key)
    ]
    return np.concatenate(best)


def target(design: str, censored: float, seed: int, recipe: Recipe) -> float:
    """The error that at most this share of A's runs never reaches, from other data sets of the same size."""
    return float(np.quantile(_pilot(design, seed, recipe), 1 - censored, method="inverted_cdf"))


def respond(runs: Runs, goal: float, recipe: Recipe) -> Responses:
    """The responses of runs to a target error; the tolerance is for errors kept in single precision."""
    hit = runs.errors <= goal + 1e-6
    reached = hit.any(axis=-1)
    budget = float(recipe.steps)
    steps = np.where(reached, (hit.argmax(axis=-1) + 1.0) * recipe.period, budget)
    log_time = np.log(np.where(reached, steps, PENALTY * budget))
    return Responses(runs.errors[..., -1].astype(float), steps, reached, log_time, runs.right)
