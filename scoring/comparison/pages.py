"""A comparison for people: terminal tables, and a page with figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.comparison.compare import Comparison
from scoring.comparison.responses import RESPONSES
from scoring.comparison.samples import Sample
from scoring.comparison.verdicts import Row, Verdict
from scoring.errors import ScoringError
from scoring.statistics import Outcome

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = (
    "workload",
    "first v second",
    "verdict",
    "effect [95%]",
    "statistic",
    "p",
    "p adjusted",
    "missed",
    "runs needed",
)
MANY_EXAMPLES = "the verdict is about two trained networks, not about the algorithms that trained them"


def number(value: float) -> str:
    return f"{value:.3g}"


def p_value(p: float) -> str:
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def statistic(outcome: Outcome) -> str:
    """``F(10, 5) = 7.24``."""
    letter = {2: "F", 1: "t" if " t" in outcome.method else "χ²"}.get(len(outcome.df), "")
    df = f"({', '.join(number(d) for d in outcome.df)})" if outcome.df else ""
    flag = " (degenerate)" if outcome.degenerate else ""
    return f"{letter}{df} = {number(outcome.statistic)}{flag}" if df else f"{number(outcome.statistic)}{flag}"


def tested(outcome: Outcome) -> str:
    return f"{statistic(outcome)}, p {p_value(outcome.p)}"


def effect(row: Row, is_ratio: bool) -> str:
    unit = "×" if is_ratio else ""
    shown = f"{row.effect.value:.3g}{unit}"
    if row.effect.low is None or row.effect.high is None:
        return shown
    return f"{shown} [{row.effect.low:.3g}, {row.effect.high:.3g}]"


def cells(row: Row, is_ratio: bool) -> tuple[str, ...]:
    """One row of the table, in the order of ``COLUMNS``."""
    return (
        row.workload,
        f"{row.first} v {row.second}",
        row.verdict.value,
        effect(row, is_ratio),
        statistic(row.outcome),
        p_value(row.outcome.p),
        p_value(row.p_adjusted),
        f"{row.censored_first:.0%}, {row.censored_second:.0%}",
        "" if row.verdict is not Verdict.OPEN else "unknown" if row.runs_needed is None else f"{row.runs_needed:,}",
    )


def sentence(row: Row, is_ratio: bool) -> str:
    """The verdict as one sentence."""
    about = f"{row.first} and {row.second} on {row.workload}" if row.workload else f"{row.first} and {row.second}"
    if row.verdict is Verdict.SAME:
        return f"{about}: no meaningful difference, {effect(row, is_ratio)}."
    if row.verdict is Verdict.OPEN:
        more = (
            f" About {row.runs_needed:,} more runs would probably decide it."
            if row.runs_needed
            else " No number of runs of this kind would probably decide it."
        )
        return f"{about}: not enough data, {effect(row, is_ratio)}, adjusted p {p_value(row.p_adjusted)}.{more}"
    amount = f"{effect(row, is_ratio)} of the time" if is_ratio else f"a difference of {effect(row, is_ratio)}"
    return (
        f"{row.first} is {row.verdict} than {row.second} on {row.workload}: {amount}, "
        f"adjusted p {p_value(row.p_adjusted)}."
    )


def caption(comparison: Comparison) -> str:
    n = len(comparison.rows)
    family = f"{n} hypotheses, corrected together by {comparison.adjustment}" if n > 1 else "one hypothesis"
    return (
        f"{comparison.test} on {RESPONSES[comparison.response].label}, plan {comparison.plan}; {family}, "
        f"level {comparison.alpha:g}" + (f"; SCALED: {comparison.scaled}" if comparison.scaled else "")
    )


def notes(comparison: Comparison) -> list[str]:
    """Each note once, with where it belongs when it is not everybody's."""
    where: dict[str, list[str]] = {}
    for row in comparison.rows:
        if row.note:
            where.setdefault(row.note, []).append(f"{row.first} v {row.second} on {row.workload}")
    everywhere = len(comparison.rows)
    listed = [note if len(at) == everywhere else f"{'; '.join(at)}: {note}" for note, at in where.items()]
    return listed + ([MANY_EXAMPLES] if comparison.response == "right" else [])


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the table, the omnibus tests, the notes, and the verdicts last."""
    from rich.table import Table
    from rich.text import Text

    is_ratio = RESPONSES[comparison.response].is_ratio
    console.print(Text(caption(comparison), style="italic"))
    rows = [cells(row, is_ratio) for row in comparison.rows]
    shown = [i for i, name in enumerate(COLUMNS) if not _says_nothing(name, rows)]
    table = Table()
    for i in shown:
        pair = COLUMNS[i] == "first v second"
        table.add_column(COLUMNS[i], justify="left" if i < 3 else "right", no_wrap=pair, min_width=6)
    for row_cells in rows:
        table.add_row(*(Text(row_cells[i].replace(" v ", "\nv ")) for i in shown))
    console.print(table)
    for name, outcome in comparison.omnibus.items():
        console.print(Text(f"{outcome.method} over all submissions, {name}: {tested(outcome)}"))
    for (first, second), outcome in comparison.combined.items():
        console.print(Text(f"{first} v {second} over all workloads ({outcome.method}): {tested(outcome)}"))
    for note in notes(comparison):
        console.print(Text(f"note: {note}", style="dim"))
    for row in comparison.rows:
        console.print(Text(sentence(row, is_ratio), style="bold"))


def _says_nothing(column: str, rows: Sequence[tuple[str, ...]]) -> bool:
    """Whether a column may be left out of a narrow table: no entries, no misses, or p with nothing to adjust for."""
    values = {row[COLUMNS.index(column)] for row in rows}
    return (column == "p" and len(rows) == 1) or (column == "missed" and values == {"0%, 0%"}) or values == {""}


def write_comparison(comparison: Comparison, samples: Mapping[tuple[str, str], Sample], folder: Path) -> Path:
    """Writes a page and its JSON, named by submissions, test and response; returns the page's path. A page that shows
    these very numbers already is left alone.

    Raises:
      ScoringError: the folder cannot be written.
    """
    from scoring.comparison.figures import slug

    name = slug(f"{'-v-'.join(comparison.submissions)}-{comparison.test}-{comparison.response}")[:120]
    path = folder / f"{name}.html"
    numbers, beside = json.dumps(comparison.to_json(), indent=1) + "\n", path.with_suffix(".json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and beside.exists() and beside.read_text(encoding="utf-8") == numbers:
            return path
        path.write_text(page(comparison, samples), encoding="utf-8")
        beside.write_text(numbers, encoding="utf-8")
    except OSError as error:
        raise ScoringError(f"cannot write {path}: {error.strerror}; free space or choose another --out") from error
    return path


def page(comparison: Comparison, samples: Mapping[tuple[str, str], Sample]) -> str:
    """The comparison as a self-contained HTML page."""
    from scoring.comparison import figures
    from scoring.markup import cell, document, figure, table, text

    is_ratio = RESPONSES[comparison.response].is_ratio
    parts = [f'<p class="muted">{text(caption(comparison))}</p>']
    parts += [f'<p class="verdict">{text(sentence(row, is_ratio))}</p>' for row in comparison.rows]
    parts.append(table(COLUMNS, ([cell(c) for c in cells(row, is_ratio)] for row in comparison.rows), "hypotheses"))
    drawn = figures.paired_differences(comparison.rows, comparison.response)
    if drawn:
        parts.append(figure(drawn, "A dot per fold or study; the diamond is the effect, the line its 95% interval."))
    if comparison.ranks is not None:
        parts.append(figure(figures.critical_difference(comparison.ranks, comparison.submissions), "Mean ranks."))
    if comparison.test.startswith("5x2cv"):
        parts.append(
            figure(figures.power_curve(comparison.alpha), "What 5 x 2 runs can find; for more power see corrected-t.")
        )
    parts += [f'<p class="muted">{text(note)}</p>' for note in notes(comparison)]
    parts.append("<h2>Runs</h2>")
    parts.append(_runs(samples))
    return document(f"{' v '.join(comparison.submissions)}", parts)


def _runs(samples: Mapping[tuple[str, str], Sample]) -> str:
    from scoring.markup import cell, table
    from scoring.words import quantity

    rows = [
        [
            cell(sample.submission, "name"),
            cell(sample.workload),
            cell(run.unit),
            cell(quantity(run.wall, "s"), "number"),
            cell(quantity(run.steps, "steps"), "number"),
            cell(f"{run.metric:.6g}", "number"),
        ]
        for sample in samples.values()
        for run in sample.runs
    ]
    header = ("submission", "workload", "fold or study", "time to target", "steps", "best metric")
    return table(header, rows, "runs", header[3:])
