"""Every pair of submissions on every workload, corrected as one family."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from scoring import statistics as st
from scoring.comparison.designs import DESIGNS, Design, right_answers
from scoring.comparison.responses import RESPONSES, Response
from scoring.comparison.samples import Sample, check_paired, how_scaled
from scoring.comparison.verdicts import (
    CENSORED_BEYOND_USE,
    CENSORED_NOTE,
    Row,
    Verdict,
    decide,
    runs_needed,
    spread,
)
from scoring.errors import ScoringError
from scoring.ranktests import RankTest, friedman
from scoring.statistics import Estimate, Outcome

ALPHA = 0.05
ALL_WORKLOADS = "all workloads"
SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The answer of ``timetrial compare``.

    Attributes:
      test, plan, response: what was asked; keys of their tables.
      alpha, adjustment: level of the family and how it is held.
      rows: one hypothesis each; all of them are one family.
      omnibus: by workload (or all workloads), the test that the submissions are all alike.
      combined: per pair, when there are several workloads, the overall direction (Stouffer over workloads); outside of
        the family.
      ranks: mean ranks, where the test ranks.
      submissions, workloads: as compared.
      scaled: how times of other machine classes were scaled; empty where there were none.
    """

    test: str
    plan: str
    response: str
    alpha: float
    adjustment: str
    rows: tuple[Row, ...]
    omnibus: Mapping[str, Outcome]
    combined: Mapping[tuple[str, str], Outcome]
    ranks: RankTest | None
    submissions: tuple[str, ...]
    workloads: tuple[str, ...]
    scaled: str = ""

    @property
    def decided(self) -> bool:
        """Whether any question was settled."""
        return any(row.verdict is not Verdict.OPEN for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain values with a schema version; see docs/comparing.md."""
        return {
            "schema_version": SCHEMA_VERSION,
            "test": self.test,
            "plan": self.plan,
            "response": self.response,
            "alpha": self.alpha,
            "adjustment": self.adjustment,
            "family_size": len(self.rows),
            "submissions": list(self.submissions),
            "workloads": list(self.workloads),
            "scaled": self.scaled or None,
            "rows": [row.to_json() for row in self.rows],
            "omnibus": {name: dataclasses.asdict(outcome) for name, outcome in self.omnibus.items()},
            "combined": [
                {"first": first, "second": second, **dataclasses.asdict(outcome)}
                for (first, second), outcome in self.combined.items()
            ],
            "mean_ranks": None
            if self.ranks is None
            else dict(zip(self.submissions, map(float, self.ranks.mean_ranks), strict=True)),
        }


def compare(
    samples: Mapping[tuple[str, str], Sample],
    *,
    test: str = "5x2cv-f",
    response: str | None = None,
    plan: str = "5x2cv",
    test_train_ratio: float = 1.0,
    alpha: float = ALPHA,
    adjustment: str = "holm",
    margin: float | None = None,
) -> Comparison:
    """Compares every pair of submissions.

    Args:
      samples: by (submission, workload); submissions in the order in which pairs are named.
      test: key of ``DESIGNS``.
      response: key of ``RESPONSES``; None for the test's default.
      plan, test_train_ratio: the plan the samples came from, and its examples held out over examples trained on (0 for
        a plan that resamples nothing).
      alpha: level of the family.
      adjustment: key of ``scoring.statistics.multiplicity.ADJUSTMENTS``.
      margin: replaces the response's width of "no meaningful difference".

    Raises:
      ScoringError: unknown names, unequal folds, too few submissions or workloads for the test, a missing response.
    """
    submissions = tuple(dict.fromkeys(name for name, _ in samples))
    workloads = tuple(dict.fromkeys(workload for _, workload in samples))
    design, answer = check(test, response, submissions, workloads, plan, test_train_ratio, margin)
    missing = [(s, w) for s in submissions for w in workloads if (s, w) not in samples]
    if missing:
        raise ScoringError(f"no runs of {missing[0][0]} on {missing[0][1]}; every submission needs every workload")
    over_workloads = design.over_workloads(len(workloads))
    context = _Context(samples, submissions, workloads, design, answer, test_train_ratio, alpha, margin)
    ranks: RankTest | None = None
    omnibus: dict[str, Outcome] = {}
    try:
        if over_workloads:
            drafts, ranks = context.across()
            if ranks is not None:
                omnibus[ALL_WORKLOADS] = _of_ranks(ranks)
        else:
            drafts = [context.draft(w, *pair) for w in workloads for pair in context.pairs]
            if design.least > 2:
                omnibus = {w: st.cochran_q(right_answers([samples[s, w] for s in submissions])) for w in workloads}
        adjusted = st.adjust([draft.outcome.p for draft in drafts], adjustment)
    except ValueError as error:
        raise ScoringError(f"{test}: {error}") from None
    rows = tuple(context.row(draft, float(p), len(drafts)) for draft, p in zip(drafts, adjusted, strict=True))
    combined = {} if over_workloads or len(workloads) < 2 else _combined(rows, context.pairs, answer)
    scaled = how_scaled(run for sample in samples.values() for run in sample.runs)
    return Comparison(
        test, plan, answer.name, alpha, adjustment, rows, omnibus, combined, ranks, submissions, workloads, scaled
    )


def check(
    test: str,
    response: str | None,
    submissions: Sequence[str],
    workloads: Sequence[str],
    plan: str,
    test_train_ratio: float,
    margin: float | None = None,
) -> tuple[Design, Response]:
    """The test and the response, if the test can answer about so many submissions and workloads under this plan; to be
    asked before anything is run.

    Raises:
      ScoringError: it cannot, and why.
    """
    if test not in DESIGNS:
        raise ScoringError(f"no test {test!r}; there is: {', '.join(DESIGNS)}")
    design = DESIGNS[test]
    name = response or design.responses[0]
    if name not in design.responses:
        remedy = "leave --response out, it has one of its own"
        if len(design.responses) > 1:
            remedy = f"it knows: {', '.join(design.responses)}"
        raise ScoringError(f"{test} cannot compare {name!r}; {remedy}")
    if len(submissions) < design.least:
        raise ScoringError(f"{test} needs at least {design.least} submissions, there are {len(submissions)}")
    if design.over_workloads(len(workloads)):
        if len(workloads) < 2:
            raise ScoringError(f"{test} ranks over workloads and needs at least 2 of them; add --workload NAME")
    else:
        design.check_plan(plan, test_train_ratio)
    RESPONSES[name].margin_in_cost(margin, np.ones(1), np.ones(1))
    return design, RESPONSES[name]


@dataclasses.dataclass(frozen=True)
class _Draft:
    """A hypothesis before its p-value is adjusted. ``estimate(alpha)`` gives the difference with its interval."""

    workload: str
    first: str
    second: str
    outcome: Outcome
    estimate: Any
    differences: np.ndarray
    margin: float
    sizes: tuple[int, int]
    censored: tuple[float, float]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class _Context:
    samples: Mapping[tuple[str, str], Sample]
    submissions: Sequence[str]
    workloads: Sequence[str]
    design: Design
    response: Response
    ratio: float
    alpha: float
    margin: float | None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(itertools.combinations(self.submissions, 2))

    def draft(self, workload: str, first: str, second: str) -> _Draft:
        one, two = self.samples[first, workload], self.samples[second, workload]
        if self.design.pair is None:
            raise ScoringError(f"{self.design.name} compares over workloads only")
        if self.design.paired:
            check_paired(one, two)
        outcome, estimate, differences = self.design.pair(one, two, self.response, self.ratio)
        margin = self.response.margin_in_cost(self.margin, self.response.costs(one), self.response.costs(two))
        by_examples = self.design.unit == "test example"
        sizes = (len(differences),) * 2 if by_examples else (len(one.runs), len(two.runs))
        censored = (one.censored, two.censored)
        return _Draft(workload, first, second, outcome, estimate, differences, margin, sizes, censored)

    def across(self) -> tuple[list[_Draft], RankTest | None]:
        """Pairs over workloads, on each workload's mean cost; and the rank test where the design has one."""
        means = {cell: float(self.response.costs(sample).mean()) for cell, sample in self.samples.items()}
        costs = np.array([[means[s, w] for s in self.submissions] for w in self.workloads])
        ranks = friedman(costs) if self.design.pair is None else None
        drafts = []
        for (i, first), (j, second) in itertools.combinations(enumerate(self.submissions), 2):
            d = costs[:, i] - costs[:, j]
            outcome = st.wilcoxon(d, "pratt") if ranks is None else _rank_pair(ranks, i, j, len(self.workloads))
            margin = self.response.margin_in_cost(self.margin, costs[:, i], costs[:, j])
            censored = tuple(
                float(np.mean([self.samples[s, w].censored for w in self.workloads])) for s in (first, second)
            )
            note = f"{len(d)} workloads: signed ranks cannot go below p = {st.signed_rank_floor(len(d)):.2g}"
            if ranks is not None:
                note = f"Nemenyi p = {ranks.nemenyi_p[i, j]:.3g}"
            drafts.append(
                _Draft(ALL_WORKLOADS, first, second, outcome, _t_interval(d), d, margin, (len(d),) * 2, censored, note)  # type: ignore[arg-type]
            )
        return drafts, ranks

    def row(self, draft: _Draft, p_adjusted: float, family: int) -> Row:
        estimate, inside = draft.estimate(self.alpha), draft.estimate(2 * self.alpha)
        beyond_use = self.response.censored and min(draft.censored) > CENSORED_BEYOND_USE
        verdict = decide(self.response, p_adjusted, self.alpha, estimate, inside, draft.margin, beyond_use)
        needed = None
        if verdict is Verdict.OPEN and not beyond_use:
            unpaired = not self.design.paired and self.design.unit != "test example"
            deviation = self._deviation(draft) if unpaired else spread(draft.differences)
            needed = runs_needed(
                estimate.value, deviation, self._independent(draft), draft.margin, self.alpha / family,
                1 if self.design.unit == "test example" else 2 * self._runs_per_unit,
            )  # fmt: skip
        return Row(
            draft.workload, draft.first, draft.second, verdict, self._shown(estimate), draft.outcome, p_adjusted,
            *draft.sizes, *draft.censored, needed, self._note(draft, beyond_use, verdict, estimate),
            tuple(map(float, self._kept(draft))),
        )  # fmt: skip

    def _independent(self, draft: _Draft) -> int:
        """Replicates at hand that further ones would add to: folds share data, and a plan of folds is not extended."""
        return 0 if self.design.unit == "fold" and draft.workload != ALL_WORKLOADS else draft.sizes[0]

    @property
    def _runs_per_unit(self) -> int:
        """A workload as the unit stands for several runs."""
        return max(len(sample.runs) for sample in self.samples.values()) if self.design.unit == "workload" else 1

    def _deviation(self, draft: _Draft) -> float:
        variances = [
            spread(self.response.costs(self.samples[name, draft.workload])) ** 2 for name in (draft.first, draft.second)
        ]
        return math.sqrt(sum(variances))

    def _kept(self, draft: _Draft) -> np.ndarray:
        """Differences worth a record and a figure; not those of thousands of test examples."""
        return np.array([]) if self.design.unit == "test example" else draft.differences

    def _shown(self, estimate: Estimate) -> Estimate:
        """Ratios for people, not their logarithms."""
        if not self.response.is_ratio:
            return estimate
        low, high = (None if limit is None else math.exp(limit) for limit in (estimate.low, estimate.high))
        return dataclasses.replace(estimate, value=math.exp(estimate.value), low=low, high=high)

    def _note(self, draft: _Draft, beyond_use: bool, verdict: Verdict, estimate: Estimate) -> str:
        notes = [draft.note, draft.outcome.note]
        if verdict not in (Verdict.OPEN, Verdict.SAME) and estimate.includes(0.0):
            notes.append(
                "the interval of the effect includes no difference although the test finds one: they weigh the runs "
                "differently, so that the size of the difference is less sure than that there is one"
            )
        if beyond_use:
            notes.append(
                f"censored beyond use: {draft.censored[0]:.0%} and {draft.censored[1]:.0%} of the runs missed the "
                "target, so their times say nothing; compare --response metric or reached, or give a larger --budget"
            )
        elif self.response.censored and max(draft.censored) > CENSORED_NOTE:
            notes.append(
                f"{draft.censored[0]:.0%} and {draft.censored[1]:.0%} of the runs missed the target: look at "
                "--response reached first"
            )
        if self.design.name.startswith("5x2cv") and draft.outcome.p >= self.alpha and draft.differences.size == 10:
            found = st.detectable_difference(draft.differences.reshape(5, 2))
            shown = f"a ratio of {math.exp(found):.2f}" if self.response.is_ratio else f"a difference of {found:.3g}"
            notes.append(f"this design finds {shown} with 80% power")
        return "; ".join(filter(None, notes))


def _t_interval(d: np.ndarray) -> Any:
    def estimate(alpha: float) -> Estimate:
        mean = float(d.mean())
        half = float(stats.t.isf(alpha / 2, len(d) - 1)) * spread(d) / math.sqrt(len(d))
        return Estimate(mean, mean - half, mean + half, "t interval over workloads", half == 0)

    return estimate


def _of_ranks(ranks: RankTest) -> Outcome:
    df = (len(ranks.mean_ranks) - 1,)
    return Outcome(ranks.chi2, df, ranks.p, "Friedman", ranks.degenerate, f"Iman-Davenport p = {ranks.f_p:.3g}")


def _rank_pair(ranks: RankTest, i: int, j: int, workloads: int) -> Outcome:
    """z of two mean ranks (Demšar 2006, section 3.2.2), to be adjusted by Holm."""
    k = len(ranks.mean_ranks)
    z = float(ranks.mean_ranks[i] - ranks.mean_ranks[j]) / math.sqrt(k * (k + 1) / (6 * workloads))
    return Outcome(z, (), float(2 * stats.norm.sf(abs(z))), "z of mean ranks (after Friedman)", ranks.degenerate)


def _combined(
    rows: Sequence[Row], pairs: Sequence[tuple[str, str]], response: Response
) -> dict[tuple[str, str], Outcome]:
    """Stouffer's combination over workloads, two-sided, of each pair's signed p-values."""
    found = {}
    for pair in pairs:
        mine = [row for row in rows if (row.first, row.second) == pair]
        neutral = 1.0 if response.is_ratio else 0.0
        z = [math.copysign(stats.norm.isf(max(row.outcome.p, 1e-300) / 2), row.effect.value - neutral) for row in mine]
        total = float(np.sum(z)) / math.sqrt(len(z))
        p = float(2 * stats.norm.sf(abs(total)))
        found[pair] = Outcome(total, (), p, "Stouffer over workloads", note="negative: the first is ahead")
    return found
