"""From a submission's score to the cells that make it: where points were lost, why, and what would earn them back."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from results.record import finite_or_none
from scoring import words
from scoring.anchor import anchored_ratios, stand_in
from scoring.cells import StudyTime
from scoring.errors import ScoringError
from scoring.profile import CREDITS, TAU_MAX
from scoring.scoreboard import Scoreboard
from scoring.sensitivity import scores_of

if TYPE_CHECKING:
    from rich.console import Console

SPEED_UP = 0.10
SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class WorkloadAccount:
    """What one base workload contributes to a submission's score.

    Attributes:
      workload: its name.
      time: median time to target; infinite for a miss, NaN without data.
      studies: the studies behind the median.
      fastest, fastest_time: the fastest qualified submission and its time.
      ratio: time over the fastest; infinite without credit.
      anchor_ratio: time over the reference's; NaN without a reference.
      credit: in [0, 1].
      points, points_lost: credit and what is missing to 1, divided by the number of workloads.
      cause: why points were lost; ``none``, ``slower``, ``missed``, ``past_cut``, ``variant_failed`` or ``no_data``.
      detail: the cause in words.
      record: a trial's folder that shows it; empty where there is none.
      gain: change of the score if this submission were 10% faster here, everything else equal.
    """

    workload: str
    time: float
    studies: tuple[StudyTime, ...]
    fastest: str
    fastest_time: float
    ratio: float
    anchor_ratio: float
    credit: float
    points: float
    points_lost: float
    cause: str
    detail: str
    record: str
    gain: float


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The account of one submission's score; the points add up to it."""

    submission: str
    score: float
    rank: int
    n_submissions: int
    rules: str
    clock: str
    unit: str
    reference: str | None
    workloads: tuple[WorkloadAccount, ...]

    def to_json(self) -> dict[str, Any]:
        """All numbers with their records; times that are no number are null."""
        return {
            "schema_version": SCHEMA_VERSION,
            **{
                name: getattr(self, name)
                for name in ("submission", "score", "rank", "n_submissions", "rules", "clock", "unit", "reference")
            },
            "workloads": [
                {
                    **{
                        field.name: finite_or_none(value) if isinstance(value, float) else value
                        for field in dataclasses.fields(account)
                        if field.name != "studies" and (value := getattr(account, field.name)) is not None
                    },
                    "studies": [
                        {
                            "study": study.study,
                            "time": finite_or_none(study.time),
                            "trial": study.chosen.trial if study.chosen else None,
                            "folder": study.chosen.folder if study.chosen else None,
                            "why": why_chosen(study, self.rules, self.clock, self.unit),
                        }
                        for study in account.studies
                    ],
                }
                for account in self.workloads
            ],
        }


def explain(board: Scoreboard, submission: str, reference: str | None = None) -> Explanation:
    """Accounts for a submission's score on a scoreboard.

    Raises:
      ScoringError: no such submission or reference.
    """
    for name in filter(None, (submission, reference)):
        if name not in board.field.submissions:
            raise ScoringError(f"no submission {name!r}; there is: {', '.join(board.field.submissions)}")
    entry = next(entry for entry in board.entries if entry.submission == submission)
    accounts = [_account(board, submission, reference, b) for b in range(len(board.field.layout.base))]
    accounts.sort(key=lambda account: (-account.points_lost, account.workload))
    return Explanation(
        submission,
        entry.score,
        entry.rank,
        len(board.entries),
        board.rules,
        board.field.clock,
        board.unit,
        reference,
        tuple(accounts),
    )


def _account(board: Scoreboard, submission: str, reference: str | None, b: int) -> WorkloadAccount:
    field, layout = board.field, board.field.layout
    workload, i = layout.base[b], field.submissions.index(submission)
    times = field.medians()
    ratio = float(board.ratios[i, b])
    credit = float(CREDITS[board.rules](board.ratios)[i, b])
    qualified = np.flatnonzero(board.ratios[:, b] == 1.0)
    fastest = int(qualified[0]) if qualified.size else None
    faster = times.copy()
    faster[i, b] *= 1 - SPEED_UP
    gain = float(scores_of(faster, layout, board.rules)[i] - scores_of(times, layout, board.rules)[i])
    anchor_ratio = math.nan
    if reference is not None:
        instead = stand_in(field, board.benchmark, reference)
        anchor_ratio = float(anchored_ratios(times, layout, field.submissions.index(reference), instead)[i, b])
    cause, detail, record = _cause(board, i, b, None if fastest is None else field.submissions[fastest], ratio)
    n = len(layout.base)
    return WorkloadAccount(
        workload,
        float(times[i, b]),
        field.studies(submission, workload),
        "" if fastest is None else field.submissions[fastest],
        math.nan if fastest is None else float(times[fastest, b]),
        ratio,
        anchor_ratio,
        credit,
        credit / n,
        (1 - credit) / n,
        cause,
        detail,
        record,
        gain,
    )


Cause = tuple[str, str, str]


def _cause(board: Scoreboard, i: int, b: int, fastest: str | None, ratio: float) -> Cause:
    """Why a workload earned less than full credit: cause, words, record."""
    field, layout = board.field, board.field.layout
    submission = field.submissions[i]
    if math.isfinite(ratio):
        record = next((s.chosen.folder for s in field.studies(submission, layout.base[b]) if s.chosen), "")
        return ("none", "the fastest", record) if ratio <= 1.0 else ("slower", f"slower than {fastest}", record)
    found = _failure(board, i, b)
    if found:
        return found
    for variant in layout.variants_of(b):
        found = _failure(board, i, variant)
        if found:
            return "variant_failed", f"held-out {layout.workloads[variant]}: {found[1]}", found[2]
    raise AssertionError(f"{submission} on {layout.base[b]} has no credit and no cause")


def _failure(board: Scoreboard, i: int, column: int) -> Cause | None:
    """Why a workload or variant alone fails; None if it does not."""
    field, layout = board.field, board.field.layout
    submission, workload = field.submissions[i], layout.workloads[column]
    studies = field.studies(submission, workload)
    if not studies:
        return "no_data", "no trial at all", ""
    times = field.medians()
    if not math.isfinite(times[i, column]):
        missed = [study for study in studies if not study.reached]
        words_ = f"missed in {len(missed)} of {len(studies)} studies; study {missed[0].study}: {missed[0].reason}"
        return "missed", words_, missed[0].trials[0].folder
    eligible = np.where(np.isnan(times[:, column]), math.inf, times[:, column])
    if column >= len(layout.base):  # a variant's best time counts only where the base was reached
        eligible[~np.isfinite(times[:, layout.base_of[column - len(layout.base)]])] = math.inf
    best = int(np.argmin(eligible))
    if times[i, column] <= TAU_MAX * eligible[best]:
        return None
    record = next(study.chosen.folder for study in studies if study.chosen)
    over = times[i, column] / eligible[best]
    return "past_cut", f"{over:.2f} times the time of {field.submissions[best]}, beyond {TAU_MAX:g}", record


def why_chosen(study: StudyTime, rules: str, clock: str, unit: str) -> str:
    """Why this trial stands for the study, in words."""
    if study.chosen is None or study.chosen.hit is None:
        return study.reason
    others = [trial for trial in study.trials if trial.hit is not None and trial is not study.chosen]
    reached = f"{len(others) + 1} of {len(study.trials)} trials reached the target"
    if rules == "official":
        return f"smallest evaluation index ({study.chosen.hit.index}); {reached}"
    if not others:
        return reached
    second = min(trial.hit.on(clock) for trial in others if trial.hit)
    return f"earliest; {reached}, the next at {words.quantity(second, unit)}"


def _rank_text(explanation: Explanation) -> str:
    if explanation.rank == 1 and explanation.score == 0:  # the best has nothing: all share a rank that means nothing
        return "no rank, since every score is 0"
    return f"rank {explanation.rank} of {explanation.n_submissions}"


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Prints the account as a terminal table, largest loss first."""
    from rich.table import Table
    from rich.text import Text

    title = (
        f"{explanation.submission}: score {explanation.score:.4f}, {_rank_text(explanation)} "
        f"({explanation.rules} rules, {explanation.clock} clock)"
    )
    table = Table(title=title, title_justify="left")
    columns = ["workload", "time", "fastest", "ratio", "points", "lost", "10% faster", "why", "trials"]
    if explanation.reference:
        columns.insert(4, f"to {explanation.reference}")
    for name in columns:
        table.add_column(name, justify="left" if name in ("workload", "fastest", "why", "trials") else "right")
    for account in explanation.workloads:
        chosen = ", ".join(f"{s.study}:{s.chosen.trial if s.chosen else words.MISS}" for s in account.studies)
        cells = [
            account.workload,
            words.quantity(account.time, explanation.unit),
            f"{account.fastest} {words.quantity(account.fastest_time, explanation.unit)}"
            if account.fastest
            else "nobody",
            words.ratio(account.ratio) or words.NOTHING,
            f"{account.points:.4f}",
            f"{account.points_lost:.4f}",
            f"{account.gain:+.4f}",
            account.detail,
            chosen or words.NOTHING,
        ]
        if explanation.reference:
            cells.insert(4, words.ratio(account.anchor_ratio) or words.NOTHING)
        table.add_row(*map(Text, cells))
    console.print(table)
    console.print(
        Text("points and losses add up to 1; trials as study:trial; “10% faster” is what that would add to the score.")
    )
