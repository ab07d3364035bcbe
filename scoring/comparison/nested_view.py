"""Nested cross-validation for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scoring.comparison.nested import NestedResult
from scoring.words import quantity

if TYPE_CHECKING:
    from rich.console import Console


def print_nested(title: str, result: NestedResult, points: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Prints the chosen point per outer fold, and what the procedure is worth."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(title + (f"; SCALED: {result.scaled}" if result.scaled else ""), style="italic"))
    table = Table()
    for name in ("outer fold", "chosen point", "inner median", "inner hits", f"outer {result.response}"):
        table.add_column(name)
    for choice in result.choices:
        table.add_row(
            choice.fold,
            Text(f"{choice.point + 1}: {_point(points[choice.point])}"),
            _value(result, choice.inner_median),
            f"{choice.hits}/{choice.parts}",
            _value(result, choice.outer),
        )
    console.print(table)
    for line in conclusions(result):
        console.print(Text(line))


def _point(point: Mapping[str, Any]) -> str:
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in point.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _value(result: NestedResult, number: float) -> str:
    if not result.is_ratio:
        return f"{number:.5g}"
    return quantity(number, "steps" if result.response == "steps" else "s")


def conclusions(result: NestedResult) -> tuple[str, str]:
    """The outer scores in one sentence, and the optimism of not nesting in another."""
    summary = result.summary
    sign = -1 if summary.mean < 0 and not result.is_ratio else 1

    def shown(cost: float) -> str:
        return f"{math.exp(cost):.4g}" if result.is_ratio else f"{sign * cost:.5g}"

    low, high = sorted(summary.interval, key=lambda cost: sign * cost)
    kind = "geometric mean (a miss counts as twice the budget)" if result.is_ratio else "mean"
    gain = f"a factor of {math.exp(result.optimism):.3g}" if result.is_ratio else f"{result.optimism:.3g}"
    return (
        f"outer {kind}: {shown(summary.mean)}, interval {shown(low)} to {shown(high)} ({summary.note})",
        f"without nesting, point {result.non_nested_point + 1} would be reported, with "
        f"{shown(result.non_nested_mean)}: optimistic by {gain}; {result.same_point:.0%} of the outer folds chose the "
        "same point",
    )
