"""Figures of the report as inline SVG: no file, no network, the same bytes for the same data, light or dark.

Text and axes take the page's colour (``currentColor``); data colours are readable on both backgrounds.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from results.evaluations import Goal
from scoring.bootstrap import profile_bands
from scoring.profile import TAU_MAX
from scoring.scoreboard import Scoreboard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#0a0b0c"
COLOURS = ("#2b83ba", "#e66101", "#1a9e77", "#c2589b", "#b08900", "#7570d3", "#8a8d91", "#d7443e")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
BANDS_UP_TO = 6
MARKERS_UP_TO, RASTERISE_ABOVE = 60, 120
"""Lines in one figure: few enough for a dot at every evaluation, and too many for vectors."""
POINTS_PER_LINE = 200
PROFILE_POINTS = 301

Curve = tuple[np.ndarray, np.ndarray]
"""x and the metric at the evaluations of one trial."""


def styles(submissions: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dash by submission, the same in every figure."""
    pairs = itertools.cycle(itertools.product(DASHES, COLOURS))
    return {name: {"color": colour, "linestyle": dash} for name, (dash, colour) in zip(submissions, pairs)}  # noqa: B905


@contextmanager
def look(salt: str) -> Iterator[None]:
    """Settings under which a figure is drawn; the salt makes its names unique and the same each time."""
    import matplotlib

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#808080",
        "grid.alpha": 0.25,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches, with a row of panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def as_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element with names that are unique on the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=110, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escaped}" ', 1).strip()


def scores(board: Scoreboard) -> str:
    """Scores with both intervals, best on top."""
    with look("scores"):
        n = len(board.entries)
        figure, [axes] = new_figure(9, 1.1 + 0.34 * n)
        style = styles([entry.submission for entry in board.entries])
        for y, entry in enumerate(board.entries):
            colour = style[entry.submission]["color"]
            if entry.hierarchical:
                axes.plot(entry.hierarchical.interval, [y, y], color=colour, linewidth=1.2, alpha=0.6)
            if entry.studies:
                axes.plot(entry.studies.interval, [y, y], color=colour, linewidth=5, alpha=0.45, solid_capstyle="butt")
            axes.plot(entry.score, y, "o", color=colour, markersize=6)
        axes.set_yticks(range(n), [entry.submission for entry in board.entries])
        axes.set_ylim(n - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("benchmark score (1: fastest on every workload)")
        return as_svg(figure, "scores", "Benchmark scores with 95% intervals")


def performance_profile(board: Scoreboard) -> str:
    """ρ(τ) with bands over studies; bands for all of a small field, else for those that may be best."""
    taus = np.linspace(1.0, TAU_MAX, PROFILE_POINTS)
    rho, low, high = profile_bands(board.field, taus)
    with look("profile"):
        figure, [axes] = new_figure(9, 4.6)
        style = styles([entry.submission for entry in board.entries])
        for entry, i in zip(board.entries, board.order, strict=True):
            axes.step(taus, rho[i], where="post", linewidth=1.8, label=entry.submission, **style[entry.submission])
            may_be_best = entry.studies is not None and entry.studies.p_best >= 0.05
            if board.by_studies is not None and (len(board.entries) <= BANDS_UP_TO or may_be_best):
                colour = style[entry.submission]["color"]
                axes.fill_between(taus, low[i], high[i], step="post", color=colour, alpha=0.13, linewidth=0)
        axes.set_xlim(1.0, TAU_MAX)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("τ: ratio to the fastest submission")
        axes.set_ylabel("share of workloads reached\nwithin τ times the fastest")
        figure.legend(loc="outside right upper", fontsize=9)
        return as_svg(figure, "profile", "Performance profile")


def metric_curves(
    workload: str, goal: Goal, order: Sequence[str], curves: Mapping[str, Sequence[tuple[Curve, Curve]]]
) -> str:
    """The metric against submission time and against steps, one thin line per trial, the target dashed.

    Args:
      workload: for names and labels.
      goal: metric, direction and target.
      order: submissions, best first; decides colours.
      curves: by submission, for each trial its curve over time and its curve over steps.
    """
    style = styles(order)
    n_lines = sum(len(trials) for trials in curves.values())
    with look(f"curves {workload}"):
        figure, panels = new_figure(11, 3.9, 2)
        for axes, which, label in zip(panels, (0, 1), ("submission time (s)", "steps"), strict=True):
            for name in order:
                for trial in curves.get(name, ()):
                    x, y = map(_thinned, trial[which])
                    shown = {**style[name], "linewidth": 0.9, "alpha": 0.75, "rasterized": n_lines > RASTERISE_ABOVE}
                    axes.plot(x, y, marker="." if n_lines <= MARKERS_UP_TO else None, markersize=2.5, **shown)
            axes.axhline(goal.target, color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
            axes.set_xlabel(label)
            axes.set_xlim(left=0)
            _limit_metric(axes, goal, [trial[which][1] for trials in curves.values() for trial in trials])
        better = "lower is better" if goal.direction == "minimize" else "higher is better"
        panels[0].set_ylabel(f"validation {goal.metric} ({better})")
        _curve_legend(figure, style, [name for name in order if curves.get(name)], goal)
        return as_svg(
            figure, f"curves-{re.sub(r'[^A-Za-z0-9]+', '-', workload)}", f"{workload}: {goal.metric} by trial"
        )


def _thinned(values: np.ndarray) -> np.ndarray:
    """Every k-th value, so that few enough are left; the last one stays."""
    stride = math.ceil(len(values) / POINTS_PER_LINE)
    return values[(len(values) - 1) % stride :: stride] if stride > 1 else values


def _limit_metric(axes: Axes, goal: Goal, curves: Sequence[np.ndarray]) -> None:
    """Limits that show the way to the target, not the first evaluation's or a diverged trial's extremes."""
    later = np.concatenate([curve[1:] if len(curve) > 2 else curve for curve in curves] or [np.array([])])
    later = later[np.isfinite(later)]
    if not later.size:
        return
    low, high = (min(later.min(), goal.target), max(np.quantile(later, 0.97), goal.target))
    if goal.direction == "maximize":
        low, high = (min(np.quantile(later, 0.03), goal.target), max(later.max(), goal.target))
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.set_ylim(low * 0.9, high * 1.1)
        return
    margin = 0.06 * (high - low) or 0.05 * abs(goal.target) or 1.0
    if math.isfinite(margin):
        axes.set_ylim(low - margin, high + margin)


def _curve_legend(figure: Figure, style: Mapping[str, Mapping[str, Any]], names: Sequence[str], goal: Goal) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linewidth=1.8, label=name, **style[name]) for name in names]
    handles.append(Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label=f"target {goal.target:g}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)), fontsize=9)


def critical_difference(board: Scoreboard) -> str | None:
    """Mean ranks over workloads; bars join entries that Nemenyi's test cannot tell apart. None without a rank test."""
    test = board.rank_test
    if test is None:
        return None
    order = np.argsort(test.mean_ranks, kind="stable")
    ranks, names = test.mean_ranks[order], [board.field.submissions[i] for i in order]
    k = len(names)
    bars = [
        (i, j)
        for i in range(k)
        for j in range(i + 1, k)
        if ranks[j] - ranks[i] < test.critical_difference
        and (j == k - 1 or ranks[j + 1] - ranks[i] >= test.critical_difference)
        and (i == 0 or ranks[j] - ranks[i - 1] >= test.critical_difference)
    ]
    style = styles([entry.submission for entry in board.entries])
    with look("critical difference"):
        figure, [axes] = new_figure(9, 1.5 + 0.3 * k + 0.16 * len(bars))
        for y, (rank, name) in enumerate(zip(ranks, names, strict=True)):
            axes.plot([1, rank], [y, y], color="#808080", linewidth=0.6, alpha=0.5)
            axes.plot(rank, y, "o", color=style[name]["color"], markersize=6)
        for n, (i, j) in enumerate(bars):
            below = k - 0.2 + 0.5 * n
            axes.plot([ranks[i], ranks[j]], [below, below], color=INK, linewidth=3, solid_capstyle="butt")
        axes.plot([1, min(k, 1 + test.critical_difference)], [-0.9, -0.9], color=INK, linewidth=1.5, marker="|")
        axes.text(1, -1.2, f"critical difference {test.critical_difference:.2f}", fontsize=9, va="bottom")
        axes.set_yticks(range(k), names)
        axes.set_ylim(k + 0.1 + 0.5 * max(len(bars) - 1, 0), -2.0)
        axes.set_xlim(0.9, k + 0.1)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("mean rank over workloads (1: fastest)")
        return as_svg(figure, "critical-difference", "Critical difference diagram of mean ranks")
