"""One self-contained HTML page about a set of results: who is fastest, how sure that is, and why each miss was one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.evaluations import read_curve
from scoring import words
from scoring.api import DEFAULT_DRAWS, score, write_outputs
from scoring.errors import ScoringError
from scoring.markup import cell, document, figure, table, text
from scoring.scoreboard import Scoreboard

DOWNLOADS = ("score.json", "scores.csv", "time_to_target.csv", "profile.csv", "leaderboard.md")


def write_report(
    directories: Sequence[Path | str],
    folder: Path | str,
    *,
    clock: str = "wall",
    title: str | None = None,
    rules: str = "exact",
    benchmark: str | Path | None = None,
    ruleset: str | None = None,
    draws: int = DEFAULT_DRAWS,
    across_machines: bool = False,
) -> Path:
    """Scores the directories and writes ``index.html``, with the scoreboard's files beside it; returns its path.

    The page needs nothing else: figures are inline, no script, no network. The same results give the same bytes.

    Raises:
      ScoringError: the results cannot be scored, or the folder cannot be written.
    """
    board = score(
        directories,
        clock=clock,
        rules=rules,
        benchmark=benchmark,
        ruleset=ruleset,
        draws=draws,
        across_machines=across_machines,
    )
    folder = Path(folder)
    write_outputs(board, folder)
    path = folder / "index.html"
    try:
        path.write_text(page(board, title or "timetrial report"), encoding="utf-8")
    except OSError as error:
        raise ScoringError(f"cannot write {path}: {error.strerror}; free space or choose another folder") from error
    return path


def page(board: Scoreboard, title: str) -> str:
    """The report as HTML text."""
    from scoring import figures

    parts = [
        f'<p class="muted">{text(words.caption(board))}</p>',
        f'<p class="verdict" id="verdict">{text(board.verdict)}</p>',
        _navigation(board),
        '<h2 id="leaderboard">Leaderboard</h2>',
        _leaderboard(board),
        figure(figures.scores(board), _scores_caption(board)),
        '<h2 id="profile-section">Performance profile</h2>',
        figure(
            figures.performance_profile(board),
            "The higher, the better. Bands: 95% over resampled studies."
            if board.by_studies
            else "The higher, the better. No bands below three studies.",
        ),
        '<h2 id="certainty">What the ranks hang on</h2>',
        _certainty(board),
        '<h2 id="workloads">Workloads</h2>',
        *(_workload(board, workload) for workload in board.field.layout.workloads),
        '<h2 id="irregularities">Irregularities</h2>',
        _irregularities(board),
        '<h2 id="facts">How these results were made</h2>',
        _facts(board),
    ]
    return document(title, parts)


def _navigation(board: Scoreboard) -> str:
    links = [("leaderboard", "Leaderboard"), ("profile-section", "Profile"), ("certainty", "What the ranks hang on")]
    links += [(f"workload-{workload}", workload) for workload in board.field.layout.workloads]
    links += [("irregularities", "Irregularities"), ("facts", "Facts")]
    files = " ".join(f'<a href="{name}">{name}</a>' for name in DOWNLOADS)
    inside = " ".join(f'<a href="#{text(target)}">{text(name)}</a>' for target, name in links)
    return f'<nav>{inside}</nav><nav class="muted">Data beside this page: {files}</nav>'


def _leaderboard(board: Scoreboard) -> str:
    numeric = ("rank", "score", "P(best)")
    shown = words.shown_columns(board)
    names = [words.LEADERBOARD_COLUMNS[i] for i in shown]

    def row(cells: Sequence[str]) -> list[str]:
        kinds = ["name" if name == "submission" else "number" if name in numeric else "" for name in names]
        return [cell(cells[i], kind) for i, kind in zip(shown, kinds, strict=True)]

    ranked = table(names, map(row, words.leaderboard_rows(board)), "scores", numeric)
    return ranked + f'<p class="muted">{text(words.tie_note(board))}</p>'


def _scores_caption(board: Scoreboard) -> str:
    if board.by_studies is None:
        return "Scores without intervals: fewer than three studies."
    thick = "Dot: score. Thick bar: 95% interval if these workloads were run again."
    thin = " Thin line: 95% interval for another set of such workloads."
    return thick + (thin if board.hierarchical else "")


def _certainty(board: Scoreboard) -> str:
    """Bounds, leave-one-out ranks, nested selection and the rank test."""
    from scoring import figures

    sensitivity = board.sensitivity
    rows = [_certainty_row(board, entry.submission, entry.score) for entry in board.entries]
    parts = [
        table(CERTAINTY_COLUMNS, rows, "certainty-table", ("score", "at most", "nested")),
        f'<p class="muted">{text(CERTAINTY_NOTE)}</p>',
    ]
    notes = [
        f"Without {name}, {winner} leads instead of {board.entries[0].submission}."
        for name, winner in sensitivity.winners.items()
    ]
    if sensitivity.nested_why_not:
        notes.append(f"No nested selection: {sensitivity.nested_why_not}.")
    test = board.rank_test
    diagram = figures.critical_difference(board)
    if test is not None and diagram is not None:
        parts.append(
            figure(
                diagram,
                f"Friedman's test over {len(board.field.layout.base)} workloads: χ² {test.chi2:.2f}, p {test.p:.2g}; "
                f"Iman-Davenport F {test.f:.2f}, p {test.f_p:.2g}. Bars join entries that Nemenyi's test cannot tell "
                "apart at 5%. With few workloads it can tell apart very little.",
            )
        )
    return "\n".join([*parts, *(f"<p>{text(note)}</p>" for note in notes)])


CERTAINTY_COLUMNS = ("submission", "score", "at most", "nested", "ranks, a workload out", "ranks, a submission out")
CERTAINTY_NOTE = (
    "At most: the score if each of its misses had arrived right after the budget. Nested: the score if each study ran "
    "only the hyperparameter point that did best on the other studies. Ranks: over all fields with one workload, or "
    "one other submission, left out."
)


def _certainty_row(board: Scoreboard, submission: str, score: float) -> list[str]:
    sensitivity = board.sensitivity
    extremes = sensitivity.extremes(submission)
    bounds = sensitivity.censoring.get(submission)
    nested = sensitivity.nested.get(submission)
    ranks = (extremes.get(kind) for kind in ("workload", "submission"))
    return [
        cell(submission, "name"),
        cell(f"{score:.4f}", "number"),
        cell(f"{bounds[1]:.4f}" if bounds else words.NOTHING, "number"),
        cell(f"{nested:.4f}" if nested is not None else words.NOTHING, "number"),
        *(cell(words.span(e.best_rank, e.worst_rank) if e else words.NOTHING) for e in ranks),
    ]


def _workload(board: Scoreboard, workload: str) -> str:
    from scoring import figures

    goal, field, layout = board.benchmark.goals[workload], board.field, board.field.layout
    order = [entry.submission for entry in board.entries]
    curves = {name: list(_curves(board, name, workload)) for name in order}
    sign = "≤" if goal.direction == "minimize" else "≥"
    budget = f", budget {goal.budget_sec:,.0f} s of submission time" if goal.budget_sec else ""
    held_out = (
        " Held-out variant: it earns no credit, but its base workload earns none without it."
        if workload in layout.held_out
        else ""
    )
    numbers = sorted({study.study for name in order for study in field.studies(name, workload)})
    return "\n".join(
        (
            f'<h3 id="workload-{text(workload)}">{text(workload)}</h3>',
            f'<p class="muted">Target: validation {text(goal.metric)} {sign} {goal.target:g}{budget}.{held_out}</p>',
            figure(
                figures.metric_curves(workload, goal, order, curves),
                "One line per trial, colours by submission; dashed: the target.",
            ),
            table(
                ("submission", f"median {field.clock}", "ratio", *(f"study {n}" for n in numbers)),
                (_time_row(board, name, workload, numbers) for name in order),
                f"times-{workload}",
                (f"median {field.clock}", "ratio"),
            ),
        )
    )


def _curves(board: Scoreboard, submission: str, workload: str) -> Iterator[tuple[Any, Any]]:
    goal = board.benchmark.goals[workload]
    for study in board.field.studies(submission, workload):
        for trial in study.trials:
            time, steps, values = map(np.asarray, read_curve(Path(trial.folder), goal))
            if len(values):
                yield (time * trial.scale, values), (steps, values)


def _time_row(board: Scoreboard, submission: str, workload: str, numbers: Sequence[int]) -> list[str]:
    layout = board.field.layout
    i, j = board.field.submissions.index(submission), layout.workloads.index(workload)
    ratio = ""
    if workload in layout.base:
        ratio = words.ratio(board.ratios[i, j]) or "no credit"
    median = words.quantity(float(board.field.medians()[i, j]), board.unit)
    studies = {study.study: study for study in board.field.studies(submission, workload)}
    return [
        cell(submission, "name"),
        cell(median, "number"),
        cell(ratio, "number"),
        *(_study_cell(studies.get(number), board.unit) for number in numbers),
    ]


def _study_cell(study: Any, unit: str) -> str:
    if study is None:
        return '<td class="miss">no data</td>'
    if study.reached:
        trial = f" <small class=muted>trial {study.chosen.trial}</small>" if len(study.trials) > 1 else ""
        return f"<td>{text(words.quantity(study.time, unit))}{trial}</td>"
    return f'<td class="miss">{words.MISS}<small>{text(study.reason)}</small></td>'


def _irregularities(board: Scoreboard) -> str:
    if not board.irregularities:
        return "<p>None: every expected trial is there, and every file was whole.</p>"
    rows = (
        [
            cell(odd.kind.replace("_", " ")),
            cell(odd.submission or "all", "name"),
            cell(odd.workload or "all"),
            cell(odd.count, "number"),
            cell(odd.message, "fact"),
            cell(odd.where[0] if odd.where else "", "fact"),
        ]
        for odd in board.irregularities
    )
    return table(
        ("kind", "submission", "workload", "cases", "what", "for example"), rows, "irregularity-table", ("cases",)
    )


def _facts(board: Scoreboard) -> str:
    rows = [[cell(name, "name"), cell(value, "fact")] for name, value in board.shared.items()]
    for name, values in board.facts.items():
        total = sum(values.values())
        for value, count in values.items():
            share = "" if len(values) == 1 else f" ({count} of {total} trials)"
            rows.append([cell(name, "name"), cell(value + share, "fact")])
    rows.append([cell("bootstrap draws", "name"), cell(board.draws, "fact")])
    rows.append([cell("rules", "name"), cell(f"{board.rules}, clock {board.field.clock}", "fact")])
    return table(("fact", "value"), rows, "fact-table")
