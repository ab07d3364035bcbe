"""The scoreboard as terminal tables."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from scoring import words
from scoring.scoreboard import Scoreboard

if TYPE_CHECKING:
    from rich.console import Console

TIMES_PER_TABLE = 5
RIGHT = {"rank", "score", "P(best)"}


def print_scoreboard(board: Scoreboard, console: Console) -> None:
    """Prints leaderboard, times, irregularities in brief, and the verdict last."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"Leaderboard: {words.caption(board)}", style="italic"))
    leaderboard = Table()
    shown = words.shown_columns(board)
    for i in shown:
        name = words.LEADERBOARD_COLUMNS[i]
        leaderboard.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=name == "submission")
    for row in words.leaderboard_rows(board):
        leaderboard.add_row(*(Text(row[i]) for i in shown))
    console.print(leaderboard)
    console.print(Text(words.tie_note(board), style="dim"))
    what = "steps" if board.unit == "steps" else "time"
    console.print(Text(f"\nMedian {what} to target, and ratio to the fastest", style="italic"))

    medians, layout = board.field.medians(), board.field.layout
    for start in range(0, len(layout.workloads), TIMES_PER_TABLE):
        columns = range(start, min(start + TIMES_PER_TABLE, len(layout.workloads)))
        times = Table()
        times.add_column("submission", no_wrap=True)
        for j in columns:
            held_out = " (held out)" if j >= len(layout.base) else ""
            times.add_column(layout.workloads[j] + held_out, justify="right")
        for entry, i in zip(board.entries, board.order, strict=True):
            cells = (
                (
                    words.quantity(medians[i, j], board.unit)
                    + "  "
                    + (words.ratio(board.ratios[i, j]) if j < len(layout.base) else "")
                ).strip()
                for j in columns
            )
            times.add_row(Text(entry.submission), *map(Text, cells))
        console.print(times)

    kinds = collections.Counter(irregularity.kind for irregularity in board.irregularities)
    if kinds:
        listed = ", ".join(f"{kind.replace('_', ' ')} ({n})" for kind, n in sorted(kinds.items()))
        console.print(Text(f"Irregularities, by number of cells: {listed}. Details: --json or the report."))
    console.print(Text(board.verdict, style="bold"))
