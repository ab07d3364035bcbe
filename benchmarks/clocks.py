"""Can the clocks of recorded trials be trusted, and what does it cost to find out?

    python benchmarks/clocks.py runs/quick [--worst 3]

From the records of a results folder, over its trials: by how much the segments miss the trial's wall time; by how much
the trial's own clock and that of the process that started it disagree; what verifying the claim took, as a share of the
trial's wall time. Exits with 1 where a figure is above its limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.errors import UsageError
from results.record import TrialRecord
from results.store import find_trials, read_trial

Figure = Callable[[TrialRecord], float | None]


def segments_against_wall(record: TrialRecord) -> float | None:
    """Share of the wall time; None where the process died and told no segments."""
    if "unknown" in record.segments:
        return None
    return abs(sum(record.segments.values()) - record.wall_sec) / record.wall_sec


def own_against_parent(record: TrialRecord) -> float | None:
    """Share of the parent's time; None where the process died."""
    if not record.watched:
        return None
    parent, child = record.watched["parent_sec"], record.watched["child_sec"]
    return abs(parent - child) / parent


def verification(record: TrialRecord) -> float | None:
    """Share of the trial's wall time; None where there was no claim."""
    return record.verified["wall_sec"] / record.wall_sec if record.verified else None


FIGURES: Mapping[str, tuple[Figure, float]] = {
    "segments against wall time": (segments_against_wall, 0.001),
    "own clock against the parent's": (own_against_parent, 0.005),
    "verification": (verification, 0.05),
}
"""What is computed of a trial, and its limit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--worst", type=int, default=0, help="Name so many trials with the largest shares.")
    options = parser.parse_args()
    records = [read_trial(folder) for folder in find_trials(options.results)]
    if not records:
        raise SystemExit(str(UsageError(f"{options.results} holds no trials; name a results folder")))
    above = False
    print(f"{'share of':32} {'trials':>7} {'median':>9} {'largest':>9} {'all together':>13}  limit")
    for name, (figure, limit) in FIGURES.items():
        found = sorted(shares(records, figure), key=lambda pair: pair[0])
        if not found:
            print(f"{name:32} {0:7}")
            continue
        values = [share for share, _ in found]
        whole = sum(share * record.wall_sec for share, record in found) / sum(record.wall_sec for _, record in found)
        above |= whole > limit
        print(
            f"{name:32} {len(values):7} {statistics.median(values):9.4%} {values[-1]:9.4%} {whole:13.4%}  {limit:.1%}"
        )
        for share, record in found[len(found) - options.worst :]:
            print(f"    {share:.4%} of {record.wall_sec:.1f} s: {record.spec.key.folder}")
    sys.exit(above)


def shares(records: list[TrialRecord], figure: Figure) -> Iterator[tuple[float, TrialRecord]]:
    for record in records:
        share = figure(record)
        if share is not None:
            yield share, record


if __name__ == "__main__":
    main()
