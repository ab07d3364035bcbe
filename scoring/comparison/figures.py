"""Figures of a comparison: where people would rather look than read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from scoring.comparison.responses import RESPONSES
from scoring.comparison.verdicts import Row
from scoring.figures import COLOURS, INK, as_svg, look, new_figure
from scoring.ranktests import RankTest
from scoring.statistics import five_by_two_cv_f_power, paired_t_power


def paired_differences(rows: Sequence[Row], response: str) -> str | None:
    """A dot per fold and the effect with its interval, one line per hypothesis; None where no differences are kept."""
    shown = [row for row in rows if row.differences]
    if not shown:
        return None
    answer = RESPONSES[response]
    neutral = 1.0 if answer.is_ratio else 0.0
    with look(f"differences {response}"):
        figure, [axes] = new_figure(9, 1.2 + 0.5 * len(shown))
        for y, row in enumerate(shown):
            values = np.exp(row.differences) if answer.is_ratio else np.array(row.differences)
            axes.plot(
                values, np.full(len(values), y) + _spread(len(values)), "o", color=COLOURS[0], markersize=4, alpha=0.55
            )
            if row.effect.low is not None and row.effect.high is not None:
                axes.plot([row.effect.low, row.effect.high], [y, y], color=INK, linewidth=1.6)
            axes.plot(row.effect.value, y, "D", color=INK, markersize=5)
        axes.axvline(neutral, color="#808080", linewidth=1, linestyle=(0, (4, 3)))
        if answer.is_ratio:
            axes.set_xscale("log")
            _plain_ticks(axes, shown)
        axes.set_yticks(
            range(len(shown)), [f"{row.first}\nv {row.second}, {row.workload}" for row in shown], fontsize=8
        )
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{answer.label} (left of the dashed line: the first is {answer.words[0]})")
        return as_svg(figure, "differences", "Paired differences with the effect and its interval")


def _spread(n: int) -> np.ndarray:
    """Small vertical shifts, so that equal values do not hide each other."""
    return 0.16 * ((np.arange(n) % 5) - 2) / 2


def _plain_ticks(axes, rows: Sequence[Row]) -> None:  # type: ignore[no-untyped-def]
    """Ratios as numbers, not as powers of ten."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter

    values = np.exp([abs(d) for row in rows for d in row.differences] + [math.log(1.1)])
    limits = [limit for row in rows for limit in (row.effect.low, row.effect.high) if limit]
    widest = float(max(values.max(), *(max(limit, 1 / limit) for limit in limits or [1.1])))
    room = math.log(widest) / 4  # labels nearer to 1 than this would run into its own
    marks = [
        m for m in (1.05, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10, 20, 50) if room <= math.log(m) <= math.log(widest * 1.05)
    ]
    kept = marks[:: max(1, math.ceil(len(marks) / 3))]
    axes.xaxis.set_major_locator(FixedLocator([1 / m for m in reversed(kept)] + [1.0] + kept))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%.3g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1 / (widest * 1.08), widest * 1.08)


def power_curve(alpha: float = 0.05) -> str:
    """Power of the 5x2cv F test and, for scale, of a paired t test on ten independent differences."""
    ratios = np.linspace(0, 4, 81)
    with look("power"):
        figure, [axes] = new_figure(9, 3.2)
        lines = {
            "5x2cv combined F": [five_by_two_cv_f_power(r, 1.0, alpha) for r in ratios],
            "paired t, ten independent studies": [paired_t_power(r, 10, alpha) for r in ratios],
        }
        for (label, values), colour in zip(lines.items(), COLOURS, strict=False):
            axes.plot(ratios, values, color=colour, linewidth=1.8, label=label)
        axes.axhline(0.8, color="#808080", linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlabel("true difference over the standard deviation of one difference")
        axes.set_ylabel("power")
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower right")
        return as_svg(figure, "power", "Power curve of the 5x2cv F test")


def critical_difference(ranks: RankTest, names: Sequence[str]) -> str:
    """Mean ranks; a bar as long as Nemenyi's critical difference hangs from each."""
    order = np.argsort(ranks.mean_ranks, kind="stable")
    with look("ranks"):
        figure, [axes] = new_figure(9, 1.3 + 0.35 * len(order))
        for y, i in enumerate(order):
            rank = float(ranks.mean_ranks[i])
            axes.plot([rank, rank + ranks.critical_difference], [y, y], color=INK, linewidth=2.5, alpha=0.35)
            axes.plot(rank, y, "o", color=COLOURS[y % len(COLOURS)], markersize=6)
        axes.set_yticks(range(len(order)), [names[i] for i in order])
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.set_xlabel("mean rank over workloads (1: best); entries whose ranks a bar spans are not told apart")
        axes.grid(axis="y", visible=False)
        return as_svg(figure, "ranks", "Critical difference diagram")


def slug(text: str) -> str:
    """A name that is safe in a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)
