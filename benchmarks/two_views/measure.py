"""Rejection rates of every procedure in every scenario."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from benchmarks.two_views import data
from benchmarks.two_views.procedures import PROCEDURES, Procedure
from benchmarks.two_views.runs import Responses, Runs, respond, simulate, target
from benchmarks.two_views.trainer import Recipe

ALPHA = 0.05
CENSORED = 0.23
OTHER_CENSORED = (0.1, 0.23, 0.31, 0.5)
RATIOS = {"null": 1.0, "1.25x": 1.25, "1.7x": 1.7, "2.5x": 2.5}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Three algorithms, the third for omnibus tests only; ``null`` where the first two are equally good."""

    words: str
    algorithms: tuple[str, str, str]
    null: bool = False


SCENARIOS = {
    "null": Scenario("two views, equally good", ("A", "B", "C"), True),
    "seeds": Scenario("one algorithm, other seeds", ("A", "A, other seeds", "A, third seeds"), True),
    "1.25x": Scenario("second 1.25x slower", ("A", "B, 1.25x slower", "C")),
    "1.7x": Scenario("second 1.7x slower", ("A", "B, 1.7x slower", "C")),
    "2.5x": Scenario("second 2.5x slower", ("A", "B, 2.5x slower", "C")),
    "worse": Scenario("second has a noisier view", ("A", "B, noisier view", "C")),
}


@dataclasses.dataclass(frozen=True)
class Rate:
    """Share of comparisons rejected at 5%, and share without a statistic (which the rejected may contain)."""

    rejected: float
    undefined: float

    def error(self, comparisons: int) -> float:
        """Standard error of the share rejected."""
        return math.sqrt(self.rejected * (1 - self.rejected) / comparisons)


@dataclasses.dataclass(frozen=True)
class Row:
    """One procedure and response with its rates by scenario."""

    procedure: Procedure
    response: str
    rates: dict[str, Rate]


@dataclasses.dataclass(frozen=True)
class Spread:
    """A scenario in the 5 x 2 design: what there is to be found.

    Attributes:
      censored: share of runs that missed the target, by algorithm.
      ratio: geometric mean of second over first time.
      sigma_time, sigma_error: SD of one difference within replications, as ``detectable_difference`` takes it.
      error: mean difference of the error at the budget, second minus first.
    """

    censored: tuple[float, float]
    ratio: float
    sigma_time: float
    error: float
    sigma_error: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Everything the page shows."""

    comparisons: int
    seed: int
    rows: list[Row]
    spreads: dict[str, Spread]
    censoring: dict[float, tuple[float, dict[str, Rate]]]
    """By censored share asked for: the share found, and rates of the 5x2cv tests on log time."""
    correlations: dict[str, float]
    """By response: mean correlation of the differences of two random splits of a data set, on the null."""


def rate(procedure: Procedure, responses: list[Responses], response: str) -> Rate:
    """Rejection rate over all comparisons; ``responses`` of the two or three algorithms."""
    design = data.DESIGNS[procedure.design]
    parts = responses if design.third else responses[:2]
    comparisons = len(parts[0].steps) // design.workloads
    results = [procedure.test([part.of(i, design.workloads) for part in parts], response) for i in range(comparisons)]
    return Rate(
        float(np.mean([result.p < ALPHA for result in results])),
        float(np.mean([result.degenerate for result in results])),
    )


def _spread(first: Responses, second: Responses) -> Spread:
    time, error = second.log_time - first.log_time, second.error - first.error
    missed = (float(1 - first.reached.mean()), float(1 - second.reached.mean()))
    return Spread(missed, math.exp(time.mean()), _within(time), float(error.mean()), _within(error))


def _within(differences: np.ndarray) -> float:
    """Root of the mean variance of replications; slots 2r and 2r + 1 are the halves of one."""
    return math.sqrt(float(np.mean((differences[:, 0::2] - differences[:, 1::2]) ** 2 / 2)))


def calibrate(
    comparisons: int,
    seed: int = 0,
    recipe: Recipe | None = None,
    procedures: tuple[Procedure, ...] = PROCEDURES,
    scenarios: tuple[str, ...] = tuple(SCENARIOS),
    censored: float = CENSORED,
    say: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Simulates and tests; the first comparisons are the same whatever their number."""
    recipe = recipe or Recipe()
    rows: dict[tuple[int, str], dict[str, Rate]] = {}
    spreads: dict[str, Spread] = {}
    censoring: dict[float, tuple[float, dict[str, Rate]]] = {}
    correlations: dict[str, float] = {}
    for name, design in data.DESIGNS.items():
        chosen = [procedure for procedure in procedures if procedure.design == name]
        if not chosen:
            continue
        wanted = [who for scenario in scenarios for who in SCENARIOS[scenario].algorithms[: 3 if design.third else 2]]
        runs = simulate(name, list(dict.fromkeys(wanted)), comparisons, seed, recipe)
        goal = functools.partial(target, name, seed=seed, recipe=recipe)
        answers = {who: respond(found, goal(censored), recipe) for who, found in runs.items()}
        for scenario in scenarios:
            parts = [answers[who] for who in SCENARIOS[scenario].algorithms if who in answers]
            if name == "5x2cv":
                spreads[scenario] = _spread(*parts[:2])
            for procedure in chosen:
                for response in procedure.responses:
                    key = (procedures.index(procedure), response)
                    rows.setdefault(key, {})[scenario] = rate(procedure, parts, response)
        if name == "5x2cv" and "null" in scenarios:
            censoring = {share: _censoring(runs, chosen, goal(share), recipe) for share in OTHER_CENSORED}
        if name == "resampled" and "null" in scenarios:
            pair = [answers[who] for who in SCENARIOS["null"].algorithms[:2]]
            correlations = {response: _correlation(*pair, response) for response in ("error", "log_time")}
        say(f"{design.words}: {sum(found.errors[..., 0].size for found in runs.values())} runs")
    ordered = [Row(procedures[index], response, rows[index, response]) for index, response in sorted(rows)]
    return Calibration(comparisons, seed, ordered, spreads, censoring, correlations)


def _correlation(first: Responses, second: Responses, response: str) -> float:
    """Mean covariance of two slots' differences over the mean variance of one."""
    covariance = np.cov(getattr(first, response) - getattr(second, response), rowvar=False)
    slots = len(covariance)
    between = (covariance.sum() - np.trace(covariance)) / (slots * (slots - 1))
    return float(between / (np.trace(covariance) / slots))


def _censoring(
    runs: dict[str, Runs], procedures: list[Procedure], goal: float, recipe: Recipe
) -> tuple[float, dict[str, Rate]]:
    pair = [respond(runs[who], goal, recipe) for who in ("A", "B")]
    found = 1 - float(np.mean([part.reached.mean() for part in pair]))
    return found, {each.words: rate(each, pair, "log_time") for each in procedures}
