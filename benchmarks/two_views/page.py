"""The page that the documentation shows; its prose is in page.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.two_views import data
from benchmarks.two_views.measure import ALPHA, CENSORED, SCENARIOS, Calibration, Rate, Row
from benchmarks.two_views.runs import EXTRA_NOISE, PENALTY
from benchmarks.two_views.trainer import MOMENTUM
from scoring import statistics as st

TOLERATED = 0.07
FIGURE = "figures/power.svg"
TIME_COLUMNS = ("null", "seeds", "1.25x", "1.7x", "2.5x")
ERROR_COLUMNS = ("null", "seeds", "worse")
MISSES = ("5x2cv combined F", "5x2cv paired t")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def percent(share: float) -> str:
    """With one decimal."""
    return f"{100 * share:.1f}%"


def judgement(row: Row, comparisons: int) -> str:
    """What the rate on the null says, in words, two standard errors allowed for."""
    if row.procedure.null:
        return f"takes as given: {row.procedure.null}"
    null, slack = row.rates["null"].rejected, 2 * Rate(ALPHA, 0.0).error(comparisons)
    if null > TOLERATED + slack:
        return "**fails**"
    return "holds, cautious" if null < ALPHA - slack else "holds"


def _rates(found: Calibration, response: str, columns: Sequence[str]) -> str:
    rows = []
    for row in found.rows:
        if row.response == response:
            option = f"`{row.procedure.option}`" if row.procedure.option else "-"
            values = [percent(row.rates[name].rejected) if name in row.rates else "" for name in columns]
            design, undefined = data.DESIGNS[row.procedure.design].words, percent(row.rates["null"].undefined)
            verdict = judgement(row, found.comparisons)
            rows.append([row.procedure.words, option, design, f"**{values[0]}**", *values[1:], undefined, verdict])
    words = [SCENARIOS[name].words for name in columns]
    return table(["test", "`--test`", "design", *words, "no statistic (null)", "verdict"], rows)


def _there_to_find(found: Calibration, ratio: float) -> str:
    head = [
        "5 x 2 halves",
        "time ratio",
        "σ of ln time",
        "ratio found with 80%",
        "error, points",
        "σ of error, points",
        "runs that miss the target",
    ]
    rows = [
        [
            SCENARIOS[name].words,
            f"{spread.ratio:.2f}",
            f"{spread.sigma_time:.2f}",
            f"{math.exp(ratio * spread.sigma_time):.1f}",
            f"{round(100 * spread.error, 1) + 0.0:+.1f}",
            f"{100 * spread.sigma_error:.1f}",
            " and ".join(map(percent, spread.censored)),
        ]
        for name, spread in found.spreads.items()
    ]
    return table(head, rows)


def detectable() -> float:
    """δ/σ at which the 5x2cv F has 80% power: what it detects in differences whose replications have variance 1."""
    return st.detectable_difference([[math.sqrt(2), 0.0]] * 5)


def _misses(found: Calibration) -> str:
    rows = [
        [percent(share), *(percent(rates[name].rejected) for name in MISSES), percent(rates[MISSES[0]].undefined)]
        for share, rates in found.censoring.values()
        if set(MISSES) <= set(rates)
    ]
    return table(["runs that miss the target", *MISSES, "no statistic"], rows)


def markdown(found: Calibration) -> str:
    """The whole page."""
    ratio = detectable()
    return (Path(__file__).with_suffix(".md").read_text()).format(
        comparisons=found.comparisons,
        seed=found.seed,
        standard_error=percent(Rate(ALPHA, 0.0).error(found.comparisons)),
        examples=data.EXAMPLES,
        classes=data.CLASSES,
        features=data.FEATURES,
        momentum=MOMENTUM,
        noise=EXTRA_NOISE,
        penalty=PENALTY,
        censored=f"{CENSORED:.0%}",
        tolerated=percent(TOLERATED),
        ratio=ratio,
        assumed=1 - data.CUT / data.PER_CLASS,
        error_correlation=found.correlations.get("error", math.nan),
        time_correlation=found.correlations.get("log_time", math.nan),
        time_table=_rates(found, "log_time", TIME_COLUMNS),
        error_table=_rates(found, "error", ERROR_COLUMNS),
        figure=FIGURE,
        found_table=_there_to_find(found, ratio),
        misses_table=_misses(found),
    )
