"""The tests that a comparison can use: which runs each wants, what its unit is, and how it is carried out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from scoring import statistics as st
from scoring.comparison.responses import Response
from scoring.comparison.samples import Sample, check_paired
from scoring.errors import ScoringError
from scoring.statistics import Estimate, Outcome

Result = tuple[Outcome, Callable[[float], Estimate], np.ndarray]
PairTest = Callable[[Sample, Sample, Response, float], Result]
"""(first, second, response, n_test / n_train) to the outcome, the difference of costs with its interval at a level, and
the differences behind it."""


@dataclasses.dataclass(frozen=True)
class Design:
    """A test.

    Attributes:
      name: as on the command line.
      plan: the resampling plan that it runs by default; several workloads may need another, see ``plan_across``.
      unit: what its sample size counts.
      summary: when to use it, in one line.
      pair: the test of two samples on one workload; None where there is none.
      across: whether it takes one value per workload, and so answers for all workloads at once.
      plan_across: default plan then.
      responses: those that it knows, its default first.
      paired: whether both samples must have the same units.
      least: fewest submissions.
    """

    name: str
    plan: str
    unit: str
    summary: str
    pair: PairTest | None
    across: bool = False
    plan_across: str = "holdout-3"
    responses: tuple[str, ...] = ("log-time", "steps", "metric", "reached")
    paired: bool = True
    least: int = 2

    def over_workloads(self, workloads: int) -> bool:
        """Whether it takes one value per workload, given so many of them."""
        return self.across and (workloads > 1 or self.pair is None)

    def check_plan(self, plan: str, test_train_ratio: float) -> None:
        """Whether runs under a plan are what the test takes.

        Raises:
          ScoringError: they are not.
        """
        if self.name.startswith("5x2cv") and plan != "5x2cv":
            raise ScoringError(f"plan {plan}: the 5x2cv tests need the plan 5x2cv, 5 replications of 2 halves")
        if self.unit == "fold" and test_train_ratio <= 0:
            raise ScoringError(f"plan {plan}: {self.name} needs a plan that resamples the data, such as kfold-10")
        if self.unit == "study" and test_train_ratio > 0:
            raise ScoringError(
                f"plan {plan}: {self.name} needs independent studies; use a holdout-N plan, which repeats the "
                "benchmark's own split with other seeds; for folds there are 5x2cv-f and corrected-t"
            )


def _differences(first: Sample, second: Sample, response: Response) -> np.ndarray:
    check_paired(first, second)
    return response.costs(first) - response.costs(second)


def _of_folds(
    test: Callable[[np.ndarray, float], Outcome],
) -> PairTest:
    """A test on paired differences, with the corrected interval of their mean."""

    def carry_out(first: Sample, second: Sample, response: Response, ratio: float) -> Result:
        d = _differences(first, second, response)
        return test(d, ratio), lambda alpha: st.mean_difference(d, ratio, alpha), d

    return carry_out


def _five_by_two(test: Callable[[np.ndarray], Outcome]) -> PairTest:
    def on_replications(d: np.ndarray, _: float) -> Outcome:
        if d.size != 10:
            raise ScoringError(f"{d.size} folds: the 5x2cv tests need 5 replications of 2 halves; run what is missing")
        return test(d.reshape(5, 2))

    return _of_folds(on_replications)


def welch_interval(x: np.ndarray, y: np.ndarray, alpha: float) -> Estimate:
    """Difference of the means of two independent samples with Welch's t interval."""
    name, difference = "Welch t interval", float(x.mean() - y.mean())
    if min(len(x), len(y)) < 2:
        return Estimate(difference, None, None, name, True, "one run: no interval")
    if np.ptp(x) == 0 and np.ptp(y) == 0:
        return Estimate(difference, difference, difference, name, True, "the runs show no variance")
    interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval(1 - alpha)
    return Estimate(difference, float(interval.low), float(interval.high), name)


def _unpaired(test: Callable[[Sample, Sample, Response], Outcome]) -> PairTest:
    """A test of independent studies on the benchmark's own split."""

    def carry_out(first: Sample, second: Sample, response: Response, ratio: float) -> Result:
        x, y = response.costs(first), response.costs(second)
        d = x - y if len(x) == len(y) else np.array([])
        return test(first, second, response), lambda alpha: welch_interval(x, y, alpha), d

    return carry_out


def _permutation(first: Sample, second: Sample, response: Response) -> Outcome:
    return st.unpaired_permutation(response.costs(first), response.costs(second))


def _log_rank(first: Sample, second: Sample, response: Response) -> Outcome:
    def times(sample: Sample) -> list[float]:
        return [math.exp(cost) if hit else math.exp(cost) / 2 for cost, hit in zip(costs(sample), sample.reached)]  # noqa: B905

    costs = response.costs
    return st.log_rank(times(first), first.reached, times(second), second.reached)


def right_answers(samples: list[Sample]) -> np.ndarray:
    """Right and wrong on the test set, ``(examples, submissions)``, of each submission's first run.

    Raises:
      ScoringError: the workload does not say which examples are right, or the trial ended without a test evaluation.
    """
    columns = []
    for one in samples:
        right = one.runs[0].right
        if right is None:
            raise ScoringError(
                f"{one.submission} on {one.workload} has no record of which test examples are right: McNemar's and "
                "Cochran's tests need a classification workload (mnist, criteo1tb), and a trial with a test evaluation"
            )
        columns.append(right)
    if len({len(column) for column in columns}) > 1:
        raise ScoringError(f"unequal test sets on {samples[0].workload}: {[len(column) for column in columns]}")
    return np.stack(columns, axis=1)


def _mcnemar(first: Sample, second: Sample, response: Response, ratio: float) -> Result:
    right = right_answers([first, second])
    outcome = st.mcnemar(st.disagreement_table(right[:, 0], right[:, 1]), "mid-p")
    d = right[:, 1].astype(float) - right[:, 0]

    def estimate(alpha: float) -> Estimate:
        half = float(stats.norm.isf(alpha / 2)) * float(d.std()) / math.sqrt(len(d))
        mean = float(d.mean())
        return Estimate(mean, mean - half, mean + half, "difference of paired proportions, normal interval")

    return outcome, estimate, d


def _wilcoxon(d: np.ndarray, _: float) -> Outcome:
    return st.wilcoxon(d, "pratt")


DESIGNS: Mapping[str, Design] = {
    design.name: design
    for design in (
        Design(
            "5x2cv-f", "5x2cv", "fold", "is one algorithm better on data like this? The gate.",
            _five_by_two(st.five_by_two_cv_f),
        ),
        Design(
            "5x2cv-t", "5x2cv", "fold", "Dietterich's form; depends on which fold comes first.",
            _five_by_two(st.five_by_two_cv_t),
        ),
        Design(
            "corrected-t", "repeated-holdout-15", "fold", "the same, with more power and as many runs as wanted.",
            _of_folds(st.corrected_t),
        ),
        Design(
            "permutation", "holdout-8", "study", "is one better on exactly this data? Only seeds vary.",
            _unpaired(_permutation), paired=False,
        ),
        Design(
            "wilcoxon", "kfold-10", "fold", "signed ranks over workloads; on one workload over folds.",
            _of_folds(_wilcoxon), across=True,
        ),
        Design(
            "log-rank", "holdout-8", "study", "when many runs miss the target.",
            _unpaired(_log_rank), responses=("log-time", "steps"), paired=False,
        ),
        Design(
            "mcnemar", "holdout-1", "test example", "do two trained networks differ on the test set?",
            _mcnemar, responses=("right",), paired=False,
        ),
        Design(
            "cochran-q", "holdout-1", "test example", "do several trained networks differ? Then McNemar by pairs.",
            _mcnemar, responses=("right",), paired=False, least=3,
        ),
        Design(
            "friedman", "holdout-3", "workload", "several submissions over several workloads, and by pairs.",
            None, across=True, least=3,
        ),
    )
}  # fmt: skip
"""Tests by name; the first is the default."""
