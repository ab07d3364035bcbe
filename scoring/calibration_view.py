"""A calibration for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scoring.calibration import Calibration
from scoring.words import MISS

if TYPE_CHECKING:
    from rich.console import Console

CHOSEN = "→"


def print_calibration(
    result: Calibration, points: Sequence[Mapping[str, Any]], reference: str, console: Console
) -> None:
    """Prints the points by score, their times over the reference's, and what the choice is worth."""
    from rich.table import Table
    from rich.text import Text

    order = sorted(range(len(points)), key=lambda i: (i != result.chosen, -result.points[i].score, i))
    shown = [name for name in points[0] if len({str(point[name]) for point in points}) > 1] or list(points[0])
    mark = CHOSEN if result.reached_any else ""
    console.print(Text(f"Points by their score against {reference}, {CHOSEN} the chosen one", style="italic"))
    table = Table()
    for name in ("", "point", "score", "log credit", "reached", "hyperparameters"):
        table.add_column(
            name, justify="left" if name in ("", "hyperparameters") else "right", no_wrap=name != "hyperparameters"
        )
    for i in order:
        score = result.points[i]
        cells = (f"{score.score:.4f}", f"{score.log_credit:.4f}", f"{score.reached:.0%}")
        values = Text(", ".join(f"{name} {_value(points[i][name])}" for name in shown))
        table.add_row(mark if i == result.chosen else "", str(i + 1), *cells, values)
    console.print(table)
    _print_ratios(result, order, reference, console)
    for line in conclusions(result):
        console.print(Text(line))


def _print_ratios(result: Calibration, order: Sequence[int], reference: str, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"\nMedian time to target over that of {reference}, by point", style="italic"))
    without = {each.workload: each for each in result.workloads}
    table = Table()
    table.add_column("workload", no_wrap=True)
    for i in order:
        mark = CHOSEN if result.reached_any and i == result.chosen else ""
        table.add_column(f"{mark}{i + 1}", justify="right")
    if without:
        table.add_column("chosen without it", justify="right")
        table.add_column("credit on it", justify="right")
    first = result.points[0]
    for name in first.ratios:
        cells = [_ratio(result.points[i].ratios[name]) for i in order]
        left = without.get(name)
        choice = [str(left.point + 1), f"{left.credit:.3f} ({left.overall:.3f})"] if left else []
        table.add_row(Text(name + ("*" if name in first.substituted else "")), *cells, *choice)
    console.print(table)
    if first.substituted:
        console.print(Text(f"* {reference} missed the target; its budget stands in", style="dim"))
    if without:
        console.print(Text("credit on it: of the point chosen without it (of the chosen one)", style="dim"))


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else MISS


def conclusions(result: Calibration) -> list[str]:
    """The honest score first, then how much was optimism, and how far the choice hangs on a workload."""
    if not result.reached_any:
        return ["No point reached any target."]
    chosen, nested = result.points[result.chosen], result.nested
    lines = []
    if nested:
        limits = f", 95% {nested.interval[0]:.4f} to {nested.interval[1]:.4f}" if nested.interval else ""
        picks = ", ".join(f"{fold.point + 1} ({fold.score:.4f})" for fold in nested.folds)
        lines += [
            f"nested score: {nested.score:.4f}{limits}, chosen on the other studies and scored on each: {picks}",
            f"optimism of choosing and scoring on the same runs: {nested.optimism:+.4f}; "
            f"{nested.same_point:.0%} of the studies' choices are point {result.chosen + 1}",
        ]
        if nested.interval is None:
            lines.append("fewer than three studies: no interval")
    lines.append(f"score of point {result.chosen + 1} on the runs that it was chosen by: {chosen.score:.4f}")
    if result.transfer is not None:
        kept = sum(each.point == result.chosen for each in result.workloads)
        lines.append(
            f"on workloads that the choice has not seen: {result.transfer:.4f}; "
            f"{kept} of {len(result.workloads)} choices without one workload are point {result.chosen + 1}"
        )
    return lines
