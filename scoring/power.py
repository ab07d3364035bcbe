"""How many studies, and how many workloads, would resolve a difference between two scores.

Studies are simulated from a smoothed model of the results: each cell reaches its target with a probability shrunk
towards the field's (beta-binomial, fitted by maximum likelihood), in a lognormal time whose spread is shrunk towards
the workload's. A closed form would be wrong wherever a cell sits near half hits, because the median then flips.
Workloads follow the normal approximation for a mean of paired differences.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from results.record import finite_or_none
from scoring.benchmark import Benchmark
from scoring.bootstrap import seed_of
from scoring.cells import Field
from scoring.errors import ScoringError
from scoring.profile import exact_credits, performance_ratios
from scoring.sensitivity import scores_of

if TYPE_CHECKING:
    from rich.console import Console

STUDIES = (1, 3, 5, 7, 11, 21, 51, 101)
FIELDS = 1_000
POWER, ALPHA = 0.80, 0.05
PRIOR_STUDIES = 4.0
"""Weight of the workload's spread against a cell's own, in studies."""
SCHEMA_VERSION = 1
_CHUNK = 100


@dataclasses.dataclass(frozen=True)
class Model:
    """The smoothed model, ``(S, W)`` each: probability of a hit, and mean and SD of the logarithm of its time."""

    hit: np.ndarray
    log_mean: np.ndarray
    log_sd: np.ndarray
    beta: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class StudiesRow:
    """What a number of studies would give, under the model with the workloads fixed.

    Attributes:
      studies: per cell.
      p_order, p_winner: probability that the model's true order, or its winner, comes out.
      pair_sd: median over pairs of the SD of their score difference.
      detectable: difference found with 80% power at 5%: 2.8 ``pair_sd``.
      resolved: share of pairs whose simulated order agrees with the true one in at least 97.5% of fields.
    """

    studies: int
    p_order: float
    p_winner: float
    pair_sd: float
    detectable: float
    resolved: float


@dataclasses.dataclass(frozen=True)
class PairRow:
    """One pair of entries: observed difference of their scores, SD of the credit difference over workloads, and the
    numbers of studies (None: more than simulated) and workloads (None: no difference) that would resolve it."""

    better: str
    worse: str
    difference: float
    workload_sd: float
    studies_needed: int | None
    workloads_needed: int | None


@dataclasses.dataclass(frozen=True)
class Power:
    """The answer of :func:`power`.

    Attributes:
      difference: the asked-for difference, None when the observed ones are planned for.
      studies: one row per number of studies.
      studies_needed: smallest simulated number whose detectable difference is at most ``difference``.
      workloads_needed: for ``difference``, with the median pair's SD over workloads.
      workload_sd: that SD.
      pairs: neighbours in the order.
      n_studies, n_workloads: of the data.
      near_half: cells with a hit probability of 0.3 to 0.7, which make medians flip.
    """

    difference: float | None
    studies: tuple[StudiesRow, ...]
    studies_needed: int | None
    workloads_needed: int | None
    workload_sd: float
    pairs: tuple[PairRow, ...]
    n_studies: int
    n_workloads: int
    near_half: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """All fields; numbers that are not finite are null."""

        def plain(value: Any) -> Any:
            if isinstance(value, float):
                return finite_or_none(value)
            if isinstance(value, dict):
                return {name: plain(item) for name, item in value.items()}
            return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

        return {"schema_version": SCHEMA_VERSION, **plain(dataclasses.asdict(self))}


def fit(field: Field, benchmark: Benchmark) -> Model:
    """Fits the smoothed model to the field's study times.

    Raises:
      ScoringError: no cell has two studies, so that nothing is known about spread.
    """
    submissions, workloads = field.submissions, field.layout.workloads
    shape = (len(submissions), len(workloads))
    hits, runs = np.zeros(shape), np.zeros(shape)
    logs: dict[tuple[int, int], np.ndarray] = {}
    for i, j in itertools.product(range(shape[0]), range(shape[1])):
        times = field.times(submissions[i], workloads[j])
        reached = times[np.isfinite(times)]
        hits[i, j], runs[i, j] = reached.size, times.size
        logs[i, j] = np.log(reached)
    if runs.max() < 2:
        raise ScoringError(
            "one study per cell tells nothing about spread; run at least two (--studies 3) and ask again"
        )
    a, b = _fit_beta(hits[runs > 0], runs[runs > 0])
    hit = np.where(runs > 0, (hits + a) / (runs + a + b), 0.0)
    mean, sd = np.zeros(shape), np.zeros(shape)
    variances = _pooled_variances(logs, shape)
    for (i, j), values in logs.items():
        budget = benchmark.goals[workloads[j]].budget_sec
        known = [v for (_, other), vs in logs.items() if other == j for v in vs]
        fallback = math.log(budget) if budget and field.clock == "wall" else max(known, default=0.0)
        mean[i, j] = values.mean() if values.size else fallback
        freedom = max(values.size - 1, 0)
        own = values.var(ddof=1) * freedom if freedom else 0.0
        sd[i, j] = math.sqrt((own + PRIOR_STUDIES * variances[j]) / (freedom + PRIOR_STUDIES))
    return Model(hit, mean, sd, (a, b))


def _pooled_variances(logs: dict[tuple[int, int], np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pooled within-cell variance of log time per workload; the overall one where a workload has none."""
    sums, freedom = np.zeros(shape[1]), np.zeros(shape[1])
    for (_, j), values in logs.items():
        if values.size > 1:
            sums[j] += values.var(ddof=1) * (values.size - 1)
            freedom[j] += values.size - 1
    overall = sums.sum() / freedom.sum() if freedom.sum() else 0.0
    return np.where(freedom > 0, sums / np.maximum(freedom, 1), overall)


def _fit_beta(hits: np.ndarray, runs: np.ndarray) -> tuple[float, float]:
    """Maximum-likelihood beta law of the cells' hit probabilities (beta-binomial)."""
    from scipy.optimize import minimize
    from scipy.special import betaln

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        return -float((betaln(hits + a, runs - hits + b) - betaln(a, b)).sum())

    found = minimize(loss, np.log([0.3, 0.3]), method="L-BFGS-B", bounds=[(-7.0, 4.0)] * 2)
    a, b = np.exp(found.x)
    return float(a), float(b)


def true_times(model: Model) -> np.ndarray:
    """The model's population medians ``(S, W)``: infinite where at least half the studies miss."""
    from scipy.special import ndtri

    with np.errstate(divide="ignore", invalid="ignore"):
        quantile = ndtri(np.minimum(0.5 / model.hit, 1.0))
    times = np.exp(model.log_mean + model.log_sd * np.where(np.isfinite(quantile), quantile, 0.0))
    return np.where(model.hit > 0.5, times, np.inf)


def simulated_scores(model: Model, field: Field, rules: str, studies: int, fields: int) -> np.ndarray:
    """Scores ``(fields, S)`` of fields drawn from the model."""
    rng = np.random.RandomState(seed_of("power", studies, *field.submissions, *field.layout.workloads))
    scores = []
    for start in range(0, fields, _CHUNK):
        size = (min(_CHUNK, fields - start), *model.hit.shape, studies)
        times = np.exp(model.log_mean[..., None] + model.log_sd[..., None] * rng.standard_normal(size))
        times[rng.random_sample(size) >= model.hit[..., None]] = np.inf
        scores.append(scores_of(np.median(times, axis=-1), field.layout, rules))
    return np.concatenate(scores)


def power(
    field: Field, benchmark: Benchmark, rules: str, difference: float | None = None, fields: int = FIELDS
) -> Power:
    """Plans studies and workloads for a difference of scores, or for the observed ones.

    Raises:
      ScoringError: fewer than two submissions or studies, or a difference outside (0, 1].
    """
    if difference is not None and not 0 < difference <= 1:
        raise ScoringError(f"difference {difference:g} must lie in (0, 1]: scores do")
    if len(field.submissions) < 2:
        raise ScoringError("power needs at least two submissions to compare")
    model = fit(field, benchmark)
    truth = np.round(scores_of(true_times(model), field.layout, rules), 12)
    rows, agreement = [], {}
    for n in STUDIES:
        scores = np.round(simulated_scores(model, field, rules, n, fields), 12)
        row, agreement[n] = _studies_row(n, scores, truth)
        rows.append(row)
    z = _normal_quantiles()
    observed = scores_of(field.medians(), field.layout, rules)
    credits = exact_credits(performance_ratios(field.medians(), field.layout))
    pairs = tuple(_pair_rows(field, observed, credits, agreement, z))
    sds = [_workload_sd(credits, i, j) for i, j in itertools.combinations(range(len(observed)), 2)]
    workload_sd = float(np.median(sds))
    enough = (row.studies for row in rows if difference is not None and row.detectable <= difference)
    near = np.argwhere((model.hit > 0.3) & (model.hit < 0.7))
    return Power(
        difference,
        tuple(rows),
        next(enough, None),
        _workloads_needed(workload_sd, difference, z) if difference is not None else None,
        workload_sd,
        pairs,
        field.n_studies,
        len(field.layout.base),
        tuple((field.submissions[i], field.layout.workloads[j]) for i, j in near),
    )


def _normal_quantiles() -> float:
    """z of the test's level plus z of the power: 2.80."""
    from scipy.special import ndtri

    return float(ndtri(1 - ALPHA / 2) + ndtri(POWER))


def _studies_row(n: int, scores: np.ndarray, truth: np.ndarray) -> tuple[StudiesRow, np.ndarray]:
    """The row, and for each pair ``(S, S)`` how often the simulated order is the true one, ties counted half."""
    pairs = list(itertools.combinations(range(truth.size), 2))
    signs = np.sign(truth[:, None] - truth)
    agreement = np.full(signs.shape, 0.5)
    right = np.ones(len(scores), bool)
    sds = []
    for i, j in pairs:
        gap = scores[:, i] - scores[:, j]
        same = np.sign(gap) == signs[i, j]
        right &= same
        agreement[i, j] = agreement[j, i] = (same + (gap == 0) * (signs[i, j] != 0) / 2).mean()
        sds.append(gap.std(ddof=1))
    best = scores == scores.max(axis=1, keepdims=True)
    winner = (best[:, truth.argmax()] / best.sum(axis=1)).mean()
    sd = float(np.median(sds))
    resolved = float(np.mean([agreement[i, j] >= 1 - ALPHA / 2 for i, j in pairs]))
    return StudiesRow(n, float(right.mean()), float(winner), sd, _normal_quantiles() * sd, resolved), agreement


def _pair_rows(
    field: Field, observed: np.ndarray, credits: np.ndarray, agreement: dict[int, np.ndarray], z: float
) -> Any:
    order = sorted(range(observed.size), key=lambda i: (-observed[i], field.submissions[i]))
    for i, j in itertools.pairwise(order):
        difference = float(observed[i] - observed[j])
        sd = _workload_sd(credits, i, j)
        studies = next((n for n in STUDIES if agreement[n][i, j] >= 1 - ALPHA / 2), None)
        yield PairRow(
            field.submissions[i], field.submissions[j], difference, sd, studies, _workloads_needed(sd, difference, z)
        )


def _workload_sd(credits: np.ndarray, i: int, j: int) -> float:
    return float((credits[i] - credits[j]).std(ddof=1)) if credits.shape[1] > 1 else math.nan


def _workloads_needed(sd: float, difference: float, z: float) -> int | None:
    if not math.isfinite(sd) or abs(difference) < 1e-12:
        return None
    return max(2, math.ceil((z * sd / difference) ** 2))


def print_power(result: Power, console: Console) -> None:
    """Prints the plan as terminal tables."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="More studies of the same workloads (simulated)", title_justify="left")
    for name in (
        "studies",
        "P(order right)",
        "P(winner right)",
        "SD of a difference",
        "detectable at 80%",
        "pairs settled",
    ):
        table.add_column(name, justify="right")
    for row in result.studies:
        here = " *" if row.studies == result.n_studies else ""
        table.add_row(
            f"{row.studies}{here}",
            f"{row.p_order:.0%}",
            f"{row.p_winner:.0%}",
            f"{row.pair_sd:.3f}",
            f"{row.detectable:.3f}",
            f"{row.resolved:.0%}",
        )
    console.print(table)
    pairs = Table(title="Neighbours on the scoreboard: what would tell them apart", title_justify="left")
    for name in ("pair", "difference", "studies (same workloads)", "workloads (another set)"):
        pairs.add_column(name, justify="left" if name == "pair" else "right")
    for pair in result.pairs:
        pairs.add_row(
            Text(f"{pair.better} > {pair.worse}"),
            f"{pair.difference:.3f}",
            str(pair.studies_needed or f"> {STUDIES[-1]}"),
            str(pair.workloads_needed or "never"),
        )
    console.print(pairs)
    if result.difference is not None:
        studies = result.studies_needed or f"more than {STUDIES[-1]}"
        console.print(
            f"A difference of {result.difference:g}: {studies} studies of these {result.n_workloads} workloads, or "
            f"{result.workloads_needed or 'any number of'} workloads like them."
        )
    if result.near_half:
        listed = ", ".join(f"{submission} on {workload}" for submission, workload in result.near_half[:5])
        more = f" and {len(result.near_half) - 5} more" if len(result.near_half) > 5 else ""
        console.print(Text(f"Near half hits, where a median flips between a time and a miss: {listed}{more}."))
