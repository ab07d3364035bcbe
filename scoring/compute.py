"""Puts reading, rules and resampling together into a scoreboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from results.irregularities import Irregularity
from results.reader import Table, read_table
from results.store import StoreError
from scoring import benchmark as benchmarks
from scoring.anchor import against, penalised_means
from scoring.benchmark import Benchmark
from scoring.bootstrap import (
    MIN_STUDIES,
    Comparison,
    compare,
    hierarchical_means,
    resampled_ratios,
    resampled_times,
)
from scoring.cells import Field, build_field
from scoring.errors import ScoringError
from scoring.machines import on_one_machine
from scoring.mixing import refuse_mixed_versions
from scoring.profile import CREDITS, performance_ratios
from scoring.racing import note_raced
from scoring.ranktests import RankTest, friedman
from scoring.scoreboard import Entry, Scoreboard, certainty_of, group_letters, tie_groups, verdict
from scoring.sensitivity import examine

SAME = 1e-12
"""Scores closer than this are equal: the same credits summed in another order."""


def score(
    directories: Sequence[Path],
    *,
    clock: str,
    rules: str,
    benchmark: str | Path | None,
    ruleset: str | None,
    draws: int,
    reference: str | None,
    strict: bool,
    across_machines: bool = False,
) -> Scoreboard:
    """See :func:`scoring.api.score`."""
    table, chosen = read(directories, benchmark, ruleset)
    table = on_one_machine(table, clock, across_machines)
    field = build_field(table, chosen, clock=clock, rules=rules)
    if reference is not None and reference not in field.submissions:
        raise ScoringError(f"no reference submission {reference!r}; there is: {', '.join(field.submissions)}")
    note_raced(field, rules, table.irregularities)
    irregularities = table.irregularities.as_tuple()
    if strict and irregularities:
        raise ScoringError(strict_message(irregularities))
    return rank(field, chosen, table, irregularities, rules, draws, reference)


def read(directories: Sequence[Path], benchmark: str | Path | None, ruleset: str | None) -> tuple[Table, Benchmark]:
    """The table of trials and the benchmark that they are scored against.

    Raises:
      ScoringError: nothing to read, nothing measured, or what was read must not be compared.
    """
    if not directories:
        raise ScoringError("no directory to score; give a folder of runs or of AlgoPerf logs")
    try:
        if benchmark is None:
            table = read_table(directories)
            chosen = benchmarks.of_own_runs(table)
        else:
            chosen = benchmarks.load(benchmark, ruleset or "external")
            table = read_table(directories, chosen.goal_of)
    except StoreError as error:
        raise ScoringError(str(error)) from error
    recorded = table.shared.get("ruleset")
    if recorded and ruleset and recorded != ruleset:
        raise ScoringError(f"the runs are of ruleset {recorded}, not {ruleset}; leave --ruleset away or name theirs")
    if recorded and recorded != chosen.ruleset:
        return read(directories, benchmark, recorded)
    _check_against_benchmark(table, chosen)
    refuse_mixed_versions(table, chosen)
    if not any(trial.evaluations for trial in table.trials):
        where = ", ".join(map(str, directories))
        reasons = sorted({f"{t.reason}: {t.detail}" for t in table.trials if t.reason})[:3]
        raise ScoringError(f"nothing was measured in {where}: no trial has an evaluation. " + "; ".join(reasons))
    return table, chosen


def _check_against_benchmark(table: Table, benchmark: Benchmark) -> None:
    """Own runs may be scored against a benchmark version only with that version's targets."""
    for workload, facts in table.own.items():
        goal = benchmark.goals[workload]
        if (facts.goal.metric, facts.goal.target) != (goal.metric, goal.target):
            raise ScoringError(
                f"two versions mixed: the runs of {workload} aimed at {facts.goal.metric} {facts.goal.target:g}, "
                f"benchmark {benchmark.version} asks for {goal.metric} {goal.target:g}; score them without --benchmark"
            )


def strict_message(irregularities: Sequence[Irregularity]) -> str:
    lines = [
        f"{i.kind} ({', '.join(filter(None, (i.submission, i.workload))) or 'all'}): {i.message}"
        + (f" [{i.where[0]}]" if i.where else "")
        for i in irregularities
    ]
    return f"{len(lines)} irregularities, which --strict does not allow:\n  " + "\n  ".join(lines)


def rank(
    field: Field,
    benchmark: Benchmark,
    table: Table,
    irregularities: tuple[Irregularity, ...],
    rules: str,
    draws: int,
    reference: str | None = None,
) -> Scoreboard:
    """Scores, compares and orders the field's submissions."""
    ratios = performance_ratios(field.medians(), field.layout)
    by_rules = {name: credits(ratios).mean(axis=-1) for name, credits in CREDITS.items()}
    scores = by_rules[rules]
    resampled = resampled_times(field, draws) if draws > 0 and field.n_studies >= MIN_STUDIES else None
    by_studies, hierarchical = _compare(resampled, field, rules)
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], field.submissions[i]))
    resolved = by_studies.resolved() if by_studies else abs(scores[:, None] - scores) > SAME
    groups = tie_groups(order, resolved)
    letters = group_letters(order, groups) if by_studies else {}
    entries = tuple(
        Entry(
            field.submissions[i],
            float(scores[i]),
            float(by_rules["exact"][i]),
            float(by_rules["official"][i]),
            1 + int((scores - scores[i] > SAME).sum()),
            letters.get(i, ""),
            certainty_of(by_studies, i),
            certainty_of(hierarchical, i),
        )
        for i in order
    )
    names = [entry.submission for entry in entries]
    p_best = [entry.studies.p_best for entry in entries if entry.studies]
    return Scoreboard(
        benchmark,
        field,
        rules,
        ratios,
        entries,
        tuple(tuple(field.submissions[i] for i in group) for group in groups),
        by_studies,
        hierarchical,
        draws if by_studies else 0,
        verdict(names, [entry.score for entry in entries], p_best or None, field.n_studies),
        against(field, benchmark, reference, resampled) if reference else None,
        penalised_means(field, benchmark),
        examine(field, benchmark, rules),
        rank_test(field),
        table.shared,
        table.facts,
        irregularities,
    )


def _compare(resampled: np.ndarray | None, field: Field, rules: str) -> tuple[Comparison | None, Comparison | None]:
    """Comparisons by studies, and by workloads and studies; none without resampled times, and the second one not for
    a single workload, which says nothing about others."""
    if resampled is None:
        return None, None
    credits = CREDITS[rules](resampled_ratios(resampled, field.layout))
    base = field.layout.base
    return compare(credits.mean(axis=-1)), compare(hierarchical_means(credits, base)) if len(base) > 1 else None


def rank_test(field: Field) -> RankTest | None:
    """Friedman's test of the median times over base workloads; None for fewer than two of them or three submissions."""
    times = field.medians()[:, : len(field.layout.base)]
    if len(field.submissions) < 3 or len(field.layout.base) < 2:
        return None
    return friedman(np.where(np.isnan(times), np.inf, times).T)
