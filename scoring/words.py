"""Numbers as people read them; shared by the terminal, the Markdown table and the report."""

from __future__ import annotations

import math

from scoring.cells import StudyTime
from scoring.scoreboard import Certainty, Entry, Scoreboard

NOTHING = "–"
MISS = "miss"


def quantity(value: float, unit: str) -> str:
    """A time or a number of steps; ``miss`` for infinity, a dash for no data."""
    if math.isnan(value):
        return "no data"
    if math.isinf(value):
        return MISS
    if unit == "steps":
        return f"{value:,.0f}"
    decimals = 2 if value < 10 else 1 if value < 1000 else 0
    return f"{value:,.{decimals}f} s"


def ratio(value: float) -> str:
    return f"{value:.2f}×" if math.isfinite(value) else ""


def limits(certainty: Certainty | None) -> str:
    return f"{certainty.interval[0]:.3f} to {certainty.interval[1]:.3f}" if certainty else NOTHING


def rank_range(certainty: Certainty | None) -> str:
    if not certainty:
        return NOTHING
    return span(*certainty.rank_interval)


def span(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def probability(certainty: Certainty | None) -> str:
    if not certainty:
        return NOTHING
    p = certainty.p_best
    return "<1%" if 0 < p < 0.01 else ">99%" if 0.99 < p < 1 else f"{p:.0%}"


LEADERBOARD_COLUMNS = (
    "rank",
    "tie",
    "submission",
    "score",
    "95% over studies",
    "95% over workloads and studies",
    "rank 95%",
    "P(best)",
)


def shown_columns(board: Scoreboard) -> list[int]:
    """Indices of the leaderboard's columns that say something."""
    without = {1, 4, 5, 6, 7} if board.by_studies is None else {5} if board.hierarchical is None else set()
    return [i for i in range(len(LEADERBOARD_COLUMNS)) if i not in without]


def leaderboard_rows(board: Scoreboard) -> list[tuple[str, ...]]:
    """Cells of :data:`LEADERBOARD_COLUMNS`, best entry first; no ranks where there is nothing to rank."""
    return [_leaderboard_row(entry, str(entry.rank) if board.ranked else NOTHING) for entry in board.entries]


def _leaderboard_row(entry: Entry, rank: str) -> tuple[str, ...]:
    return (
        rank,
        entry.group or NOTHING,
        entry.submission,
        f"{entry.score:.4f}",
        limits(entry.studies),
        limits(entry.hierarchical),
        rank_range(entry.studies),
        probability(entry.studies),
    )


def caption(board: Scoreboard) -> str:
    """What was scored and how, in one line."""
    layout, benchmark = board.field.layout, board.benchmark
    parts = [
        "own runs" if benchmark.version == "own" else f"AlgoPerf {benchmark.version}",
        f"{benchmark.ruleset.replace('_', '-')} ruleset",
        *([f"track {board.shared['track']}"] if "track" in board.shared else []),
        f"{board.field.clock} clock",
        f"{board.rules} rules",
        f"{len(layout.base)} workload{'s' * (len(layout.base) != 1)}"
        + (f" and {len(layout.held_out)} held-out variants" if layout.held_out else ""),
        f"{board.field.n_studies} stud{'ies' if board.field.n_studies != 1 else 'y'}",
    ]
    scaled = f"; SCALED: {board.shared['scaled']}" if "scaled" in board.shared else ""
    return ", ".join(parts) + scaled


def tie_note(board: Scoreboard) -> str:
    if board.by_studies is None:
        return "Fewer than three studies: no intervals, and no rank is certain."
    return "Entries that share a letter under “tie” cannot be told apart at 95%."


def spread(studies: tuple[StudyTime, ...], unit: str) -> str:
    """All study times of a cell, for a tooltip."""
    return ", ".join(f"study {study.study}: {quantity(study.time, unit)}" for study in studies)
