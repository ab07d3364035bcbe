"""Whether racing (`timetrial run --race`) leaves scores as they are, and what it saves, on trials that were run whole.

    python benchmarks/racing.py                                                # results/reference
    python benchmarks/racing.py LOGS --benchmark v0.5 --ruleset external       # AlgoPerf's logs, unpacked

Replays both rules on the records: within a study, and past the cut that one submission makes which ran before the
others. Tells the share of submission time saved, the largest difference of a score, and of any credit in any of the
bootstrap's draws of studies, with the same draws for both (0 is what racing promises); and the largest difference of
scores by the official rules, for which racing promises nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from results.irregularities import Irregularities
from results.reader import Table
from scoring.benchmark import Benchmark
from scoring.bootstrap import resampled_medians, resampled_ratios, seed_of
from scoring.cells import Field, build_field
from scoring.compute import rank, read
from scoring.profile import exact_credits
from scoring.racing import Replay, replay

ROOT = Path(__file__).parents[1]
DRAWS = 20_000


def field_of(table: Table, benchmark: Benchmark, rules: str = "exact") -> Field:
    return build_field(dataclasses.replace(table, irregularities=Irregularities()), benchmark, rules=rules)


def scores(table: Table, benchmark: Benchmark, rules: str = "exact") -> dict[str, float]:
    board = rank(field_of(table, benchmark, rules), benchmark, table, (), rules, draws=0)
    return {entry.submission: entry.score for entry in board.entries}


def drawn_credits(field: Field, draws: int) -> np.ndarray:
    """Credits ``(draws, S, B)`` with studies resampled. Seeds are of names alone: two fields get the same draws."""
    medians = np.full((draws, len(field.submissions), len(field.layout.workloads)), np.nan)
    for i, submission in enumerate(field.submissions):
        for j, workload in enumerate(field.layout.workloads):
            times = field.times(submission, workload)
            if times.size:
                rng = np.random.RandomState(seed_of(submission, workload))
                medians[:, i, j] = resampled_medians(times, draws, rng)
    return exact_credits(resampled_ratios(medians, field.layout))


def row(table: Table, benchmark: Benchmark, found: Replay, draws: int) -> dict[str, Any]:
    def difference(rules: str) -> float:
        one, other = (scores(t, benchmark, rules) for t in (table, found.table))
        return max(abs(one[name] - other[name]) for name in one)

    one, other = (drawn_credits(field_of(t, benchmark), draws) for t in (table, found.table))
    return {
        "stopped": found.stopped,
        "trials": found.trials,
        "saved_share": found.saved_sec / found.used_sec,
        "saved_hours": found.saved_sec / 3600,
        "share_by_rule": {rule: seconds / found.used_sec for rule, seconds in found.saved_by.items()},
        "largest_difference": {
            "score": difference("exact"),
            "credit_in_any_draw": float(abs(one - other).max()),
            "score_by_official_rules": difference("official"),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "results" / "reference"])
    parser.add_argument("--benchmark")
    parser.add_argument("--ruleset", choices=["external", "self_tuning"])
    parser.add_argument("--anchor", help="Default: the submission with the best score.")
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args()
    table, benchmark = read(options.folders, options.benchmark, options.ruleset)
    whole = scores(table, benchmark)
    anchor = options.anchor or max(whole, key=lambda name: (whole[name], name))
    rows = {}
    for name, anchors, side_by_side in (
        ("within studies, one after another", (), False),
        ("within studies, side by side", (), True),
        (f"both rules, {anchor} first, one after another", (anchor,), False),
        (f"both rules, {anchor} first, side by side", (anchor,), True),
    ):
        found = replay(table, benchmark, anchors=anchors, side_by_side=side_by_side)
        rows[name] = row(table, benchmark, found, options.draws)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
