"""The outcome of scoring: entries in order, how sure each rank is, and the verdict in words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from results.irregularities import Irregularity
from results.record import finite_or_none
from scoring.anchor import Anchored
from scoring.benchmark import Benchmark
from scoring.bootstrap import LEVEL, MIN_STUDIES, Comparison
from scoring.cells import Field, StudyTime
from scoring.profile import CREDITS, TAU_MAX
from scoring.ranktests import RankTest
from scoring.sensitivity import Sensitivity

SCHEMA_VERSION = 1
"""Version of :meth:`Scoreboard.to_json`; docs/scoring.md describes it."""

Limits = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Certainty:
    """What resampling says about one entry: mean and SD of its score, 95% limits of score and rank, and the probability
    of being the best."""

    mean: float
    sd: float
    interval: Limits
    rank_interval: Limits
    p_best: float


@dataclasses.dataclass(frozen=True)
class Entry:
    """One submission on the scoreboard.

    Attributes:
      submission: its name.
      score: by the scoreboard's rules.
      exact_score, official_score: both forms of the integral on the same times.
      rank: 1 is best; equal scores share a rank.
      group: letters; entries with a letter in common cannot be told apart. Empty where that is unknown.
      studies, hierarchical: with studies resampled, and with workloads and studies resampled; None below three studies,
        the latter also for a single workload.
    """

    submission: str
    score: float
    exact_score: float
    official_score: float
    rank: int
    group: str
    studies: Certainty | None
    hierarchical: Certainty | None


@dataclasses.dataclass(frozen=True)
class Scoreboard:
    """Everything known about the field, entries from best to worst.

    Attributes:
      benchmark, field, rules: what was scored, and how.
      ratios: performance ratios ``(S, B)`` in the field's order.
      entries: best first.
      ties: groups of neighbours in the order which cannot be told apart, best first.
      by_studies, hierarchical: the resampled comparison in the field's order; None below three studies.
      draws: number of bootstrap draws; 0 without.
      verdict: one sentence.
      anchored: against a named reference; None without one.
      penalised: geometric mean times with misses counted as multiples of the budget, by submission.
      sensitivity: what the scores hang on.
      rank_test: over base workloads; None for fewer than two of them or three submissions.
      shared: ruleset, track and scale, where recorded.
      facts: distinct machines, versions and so on, with the number of trials of each.
      irregularities: everything a rule had to deal with.
    """

    benchmark: Benchmark
    field: Field
    rules: str
    ratios: np.ndarray
    entries: tuple[Entry, ...]
    ties: tuple[tuple[str, ...], ...]
    by_studies: Comparison | None
    hierarchical: Comparison | None
    draws: int
    verdict: str
    anchored: Anchored | None
    penalised: Mapping[str, Mapping[str, float | None]]
    sensitivity: Sensitivity
    rank_test: RankTest | None
    shared: Mapping[str, str]
    facts: Mapping[str, Mapping[str, int]]
    irregularities: tuple[Irregularity, ...]

    @property
    def order(self) -> list[int]:
        """Indices into the field's order, best entry first."""
        return [self.field.submissions.index(entry.submission) for entry in self.entries]

    @property
    def ranked(self) -> bool:
        """Whether any score is above 0; else all share a first rank that means nothing."""
        return self.entries[0].score > 0

    @property
    def unit(self) -> str:
        return "steps" if self.field.clock == "steps" else "s"

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON data, schema :data:`SCHEMA_VERSION`; no NaN or infinity (both are null)."""
        layout, medians = self.field.layout, self.field.medians()
        credit = CREDITS[self.rules](self.ratios)
        entries = {entry.submission: entry for entry in self.entries}
        index = {name: i for i, name in enumerate(self.field.submissions)}
        return {
            "schema_version": SCHEMA_VERSION,
            "benchmark": _benchmark_json(self),
            "verdict": self.verdict,
            "scores": {name: entry.score for name, entry in entries.items()},
            "intervals": {
                name: {
                    "studies": _certainty(entry.studies, "interval"),
                    "hierarchical": _certainty(entry.hierarchical, "interval"),
                }
                for name, entry in entries.items()
            },
            "ranks": {
                name: {
                    "rank": entry.rank,
                    "group": entry.group,
                    "interval": _certainty(entry.studies, "rank_interval"),
                    "interval_hierarchical": _certainty(entry.hierarchical, "rank_interval"),
                    "p_best": _certainty(entry.studies, "p_best"),
                    "p_best_hierarchical": _certainty(entry.hierarchical, "p_best"),
                }
                for name, entry in entries.items()
            },
            "ties": [list(group) for group in self.ties],
            "time_to_target": {
                name: {
                    workload: finite_or_none(float(medians[index[name], j]))
                    for j, workload in enumerate(layout.workloads)
                }
                for name in entries
            },
            "entries": {name: _entry_json(entry) for name, entry in entries.items()},
            "pairs": list(_pairs_json(self)),
            "cells": {
                name: {
                    workload: {
                        "median": finite_or_none(float(medians[index[name], j])),
                        "ratio": finite_or_none(float(self.ratios[index[name], j])) if j < len(layout.base) else None,
                        "credit": float(credit[index[name], j]) if j < len(layout.base) else None,
                        **_cell_json(self.field.studies(name, workload), self.field.clock),
                    }
                    for j, workload in enumerate(layout.workloads)
                }
                for name in entries
            },
            "anchored": dataclasses.asdict(self.anchored) if self.anchored else None,
            "penalised_means": {name: dict(values) for name, values in self.penalised.items()},
            "sensitivity": _sensitivity_json(self),
            "rank_test": _rank_test_json(self),
            "irregularities": [dataclasses.asdict(irregularity) for irregularity in self.irregularities],
            "facts": {name: dict(values) for name, values in self.facts.items()},
        }


def _benchmark_json(board: Scoreboard) -> dict[str, Any]:
    benchmark, layout = board.benchmark, board.field.layout
    return {
        "version": benchmark.version,
        "ruleset": benchmark.ruleset,
        **{name: value for name, value in board.shared.items() if name != "ruleset"},
        "rules": board.rules,
        "clock": board.field.clock,
        "unit": board.unit,
        "tau_max": TAU_MAX,
        "studies": benchmark.studies,
        "trials": benchmark.trials,
        "draws": board.draws,
        "base_workloads": list(layout.base),
        "held_out_workloads": list(layout.held_out),
        "targets": {workload: dataclasses.asdict(benchmark.goals[workload]) for workload in layout.workloads},
    }


def _certainty(certainty: Certainty | None, name: str) -> Any:
    if certainty is None:
        return None
    value = getattr(certainty, name)
    return list(value) if isinstance(value, tuple) else value


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(entry).items() if name != "submission"}


def _cell_json(studies: Sequence[StudyTime], clock: str) -> dict[str, Any]:
    """A cell's studies, how many reached the target, and the resolution of time by the evaluation period."""
    hits = [study.chosen.hit for study in studies if study.chosen and study.chosen.hit]
    gaps = [1 - hit.before(clock) / hit.on(clock) for hit in hits if hit.on(clock) > 0]
    return {
        "reached": len(hits),
        "missed": len(studies) - len(hits),
        "evaluation_gap": finite_or_none(float(np.median(gaps))) if gaps else None,
        "studies": [_study_json(study, clock) for study in studies],
    }


def _sensitivity_json(board: Scoreboard) -> dict[str, Any]:
    sensitivity = board.sensitivity
    return {
        "leave_one_workload_out": sensitivity.without_workload,
        "leave_one_submission_out": sensitivity.without_submission,
        "other_winners": sensitivity.winners,
        "extremes": {
            name: {kind: dataclasses.asdict(found) for kind, found in sensitivity.extremes(name).items()}
            for name in board.field.submissions
        },
        "censoring_bounds": {name: list(bounds) for name, bounds in sensitivity.censoring.items()},
        "nested_selection": {
            name: {"score": score, "optimism": next(e.score for e in board.entries if e.submission == name) - score}
            for name, score in sensitivity.nested.items()
        },
        "nested_selection_why_not": sensitivity.nested_why_not or None,
    }


def _rank_test_json(board: Scoreboard) -> dict[str, Any] | None:
    test = board.rank_test
    if test is None:
        return None
    return {
        "test": "Friedman over base workloads, Iman-Davenport F, Nemenyi",
        "mean_ranks": dict(zip(board.field.submissions, test.mean_ranks.tolist(), strict=True)),
        "chi2": test.chi2,
        "df": len(board.field.submissions) - 1,
        "p": test.p,
        "F": finite_or_none(test.f),
        "F_df": list(test.f_df),
        "F_p": test.f_p,
        "critical_difference": test.critical_difference,
        "degenerate": test.degenerate,
    }


def _study_json(study: StudyTime, clock: str) -> dict[str, Any]:
    hit = study.chosen.hit if study.chosen else None
    return {
        "study": study.study,
        "time": finite_or_none(study.time),
        "previous_evaluation": finite_or_none(hit.before(clock)) if hit else None,
        "trial": study.chosen.trial if study.chosen else None,
        "folder": study.chosen.folder if study.chosen else None,
        "trials": len(study.trials),
        "reason": study.reason or None,
    }


def _pairs_json(board: Scoreboard) -> Any:
    if board.by_studies is None:
        return
    hierarchical = board.hierarchical
    resolved = board.by_studies.resolved()
    for position, i in enumerate(board.order):
        for j in board.order[position + 1 :]:
            yield {
                "better": board.field.submissions[i],
                "worse": board.field.submissions[j],
                "difference": board.entries[position].score
                - next(e.score for e in board.entries if e.submission == board.field.submissions[j]),
                "difference_interval": board.by_studies.difference[:, i, j].tolist(),
                "difference_interval_hierarchical": hierarchical.difference[:, i, j].tolist() if hierarchical else None,
                "p": float(board.by_studies.win[i, j]),
                "p_hierarchical": float(hierarchical.win[i, j]) if hierarchical else None,
                "resolved": bool(resolved[i, j]),
            }


# ---------------------------------------------------------------------------------------------------------------------
# Ranks, ties, verdict


def certainty_of(comparison: Comparison | None, i: int) -> Certainty | None:
    if comparison is None:
        return None
    low, high = comparison.interval[:, i].tolist()
    rank_low, rank_high = comparison.rank_interval[:, i].tolist()
    return Certainty(
        float(comparison.mean[i]),
        float(comparison.sd[i]),
        (low, high),
        (math.floor(rank_low), math.ceil(rank_high)),
        float(comparison.p_best[i]),
    )


def tie_groups(order: Sequence[int], resolved: np.ndarray) -> list[tuple[int, ...]]:
    """Maximal runs of neighbours in ``order`` within which no pair is resolved; runs of one are left out."""
    groups: list[tuple[int, ...]] = []
    end_of_last = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(resolved[i, order[end]] for i in order[start:end]):
            end += 1
        if end - start > 1 and end > end_of_last:
            groups.append(tuple(order[start:end]))
            end_of_last = end
    return groups


def group_letters(order: Sequence[int], groups: Sequence[Sequence[int]]) -> dict[int, str]:
    """Letters by index, in the order of the board: sharing a letter means not told apart (Piepho 2004)."""
    pools = [*groups, *([i] for i in order if not any(i in group for group in groups))]
    pools.sort(key=lambda pool: order.index(pool[0]))
    return {i: "".join(_letter(n) for n, pool in enumerate(pools) if i in pool) for i in order}


def _letter(n: int) -> str:
    return chr(ord("a") + n) if n < 26 else f"({n + 1})"


def verdict(names: Sequence[str], scores: Sequence[float], p_best: Sequence[float] | None, n_studies: int) -> str:
    """One sentence about who is fastest; names a winner only when its probability of being best is 95%.

    Args:
      names, scores, p_best: of the entries, best first; ``p_best`` is None when studies are too few for an interval.
      n_studies: studies per cell.
    """
    if max(scores) <= 0:
        return (
            "No submission's median run reached a target that counts, so every score is 0: there is nothing to rank, "
            "though single runs may have reached one."
        )
    if len(names) == 1:
        return f"Only {names[0]} was scored; there is nothing to compare it with."
    if p_best is None:
        leaders = [name for name, score in zip(names, scores, strict=True) if score == scores[0]]
        plural = "y" if n_studies == 1 else "ies"
        return (
            f"{' and '.join(leaders)} scored highest, but {n_studies} stud{plural} cannot tell luck from speed: "
            f"no interval below {MIN_STUDIES} studies."
        )
    ranked = sorted(zip(p_best, names, strict=True), key=lambda pair: -pair[0])
    if ranked[0][0] >= LEVEL:
        return f"{ranked[0][1]} is fastest (best in {ranked[0][0]:.1%} of resampled studies)."
    contenders, total = [], 0.0
    for p, name in ranked:
        contenders.append(f"{name} ({p:.0%})")
        total += p
        if total >= LEVEL:
            break
    listed = ", ".join(contenders)
    return f"Tied at the top: {listed}; in brackets the probability of being best, none reaches {LEVEL:.0%}."
