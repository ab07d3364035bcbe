"""The scoreboard as files: CSV for programs that compute, JSON for everything, Markdown for a README."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.record import finite_or_none
from results.store import StoreError, write_json_atomically
from scoring import words
from scoring.bootstrap import profile_bands
from scoring.errors import ScoringError
from scoring.profile import OFFICIAL_POINTS, TAU_MAX
from scoring.scoreboard import Certainty, Scoreboard

SCOREBOARD_FILE = "score.json"
"""Everything about a scoreboard, as :meth:`Scoreboard.to_json` gives it."""


def write(board: Scoreboard, folder: Path) -> list[Path]:
    """See :func:`scoring.api.write_outputs`."""
    tables = {
        "scores.csv": _score_rows(board),
        "time_to_target.csv": _time_rows(board),
        "profile.csv": _profile_rows(board),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            with (folder / name).open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        (folder / "leaderboard.md").write_text(markdown(board))
        write_json_atomically(folder / SCOREBOARD_FILE, board.to_json())
    except (OSError, StoreError) as error:
        raise ScoringError(f"cannot write to {folder}: {error}; free space or choose another folder") from error
    return [folder / name for name in (*tables, "leaderboard.md", SCOREBOARD_FILE)]


def _score_rows(board: Scoreboard) -> Iterator[Sequence[Any]]:
    limits = ("low", "high", "rank_low", "rank_high", "p_best")
    yield (
        "submission",
        "rank",
        "group",
        "score",
        "exact_score",
        "official_score",
        *(f"studies_{name}" for name in limits),
        *(f"hierarchical_{name}" for name in limits),
    )
    for entry in board.entries:
        yield (
            entry.submission,
            entry.rank,
            entry.group,
            entry.score,
            entry.exact_score,
            entry.official_score,
            *_limits(entry.studies),
            *_limits(entry.hierarchical),
        )


def _limits(certainty: Certainty | None) -> Iterable[Any]:
    if certainty is None:
        return ("",) * 5
    return (*certainty.interval, *certainty.rank_interval, certainty.p_best)


def _time_rows(board: Scoreboard) -> Iterator[Sequence[Any]]:
    yield "submission", "workload", "held_out", "study", board.field.clock, "trial", "reason", "folder"
    held_out = set(board.field.layout.held_out)
    for entry in board.entries:
        for workload in board.field.layout.workloads:
            for study in board.field.studies(entry.submission, workload):
                chosen = (study.chosen.trial, "", study.chosen.folder) if study.chosen else ("", study.reason, "")
                time = finite_or_none(study.time)
                yield entry.submission, workload, workload in held_out, study.study, time, *chosen


def _profile_rows(board: Scoreboard) -> Iterator[Sequence[Any]]:
    taus = np.linspace(1.0, TAU_MAX, OFFICIAL_POINTS)
    rho, low, high = profile_bands(board.field, taus)
    yield "submission", "tau", "rho", "low", "high"
    for entry, i in zip(board.entries, board.order, strict=True):
        for k, tau in enumerate(taus):
            yield entry.submission, float(tau), float(rho[i, k]), float(low[i, k]), float(high[i, k])


def markdown(board: Scoreboard) -> str:
    """The leaderboard for a README, with intervals and tie groups, and the times below it."""
    medians, layout = board.field.medians(), board.field.layout
    lines = [f"**{board.verdict}**", "", words.caption(board) + ". " + words.tie_note(board), ""]
    lines += _markdown_table(words.LEADERBOARD_COLUMNS, words.leaderboard_rows(board))
    lines += ["", f"Median {'steps' if board.unit == 'steps' else 'time'} to target:", ""]
    lines += _markdown_table(
        ("submission", *layout.base, *(f"{name} (held out)" for name in layout.held_out)),
        (
            (entry.submission, *(words.quantity(time, board.unit) for time in medians[i]))
            for entry, i in zip(board.entries, board.order, strict=True)
        ),
    )
    return "\n".join(lines) + "\n"


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in (header, *rows))
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return [lines[0], "|" + " --- |" * len(header), *lines[1:]]
