"""The power curves as SVG, the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.two_views.measure import RATIOS, Calibration
from scoring import statistics as st

LOOK: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "calibration",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
DRAWN: dict[str, dict[str, Any]] = {
    "5x2cv combined F": {"color": "#2b83ba"},
    "corrected t (+1/2)": {"color": "#1a9e77"},
    "signed ranks of 8 workloads": {"color": "#7570d3"},
    "naive resampled t": {"color": "#d7443e", "linestyle": ":"},
}


def power_of_t(effects: np.ndarray, draws: int = 20_000) -> list[float]:
    """Power of the 5x2cv t at ten independent normal differences, by simulation; it has no closed form."""
    d = np.random.default_rng(0).standard_normal((draws, 5, 2))
    spread = np.sqrt(((d[:, :, 0] - d[:, :, 1]) ** 2 / 2).mean(axis=1))
    return [float(np.mean(np.abs(d[:, 0, 0] + effect) > stats.t.isf(0.025, 5) * spread)) for effect in effects]


def _independent(axes) -> None:
    effects = np.linspace(0, 4, 41)
    axes.plot(effects, [st.five_by_two_cv_f_power(x) for x in effects], color="#2b83ba", label="5x2cv combined F")
    axes.plot(effects, power_of_t(effects), color="#e66101", linestyle="--", label="5x2cv paired t")
    ordinary = [st.paired_t_power(x, 10) for x in effects]
    axes.plot(effects, ordinary, color="#8a8d91", linestyle=":", label="t of ten independent differences")
    axes.set(xlabel="difference in SDs of one difference (δ/σ)", title="independent normal differences")


def _simulated(axes, found: Calibration) -> None:
    ratios = list(RATIOS.values())
    for row in found.rows:
        if row.response == "log_time" and row.procedure.words in DRAWN and set(RATIOS) <= set(row.rates):
            power = [row.rates[name].rejected for name in RATIOS]
            axes.plot(ratios, power, marker="o", label=row.procedure.words, **DRAWN[row.procedure.words])
    axes.set(xlabel="second algorithm slower by", title="simulated training, ln time to target")
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{ratio:g}x" for ratio in ratios])
    axes.minorticks_off()


def figure(found: Calibration) -> str:
    """Power against the standardised difference, and against the time ratio in the simulation."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        drawing = Figure(figsize=(10, 4), layout="constrained")
        left, right = drawing.subplots(1, 2)
        _independent(left)
        _simulated(right, found)
        for axes in (left, right):
            axes.axhline(0.05, color="#0a0b0c", linewidth=0.8)
            axes.set(ylim=(0, 1), ylabel="share rejected at 5%")
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best")
        buffer = io.StringIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL).strip()
