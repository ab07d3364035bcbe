"""Scoring as Python functions; the command line calls these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from scoring.explain import Explanation
    from scoring.power import Power
    from scoring.scoreboard import Scoreboard

DEFAULT_DRAWS = 20_000


def score(
    directories: Sequence[Path | str],
    *,
    clock: str = "wall",
    rules: str = "exact",
    benchmark: str | Path | None = None,
    ruleset: str | None = None,
    draws: int = DEFAULT_DRAWS,
    reference: str | None = None,
    strict: bool = False,
    across_machines: bool = False,
) -> Scoreboard:
    """Scores all submissions below the directories against each other.

    Args:
      directories: timetrial's run folders or AlgoPerf's log folders (each a folder of submissions, or one submission).
      clock: ``wall`` (submission time), ``cpu`` or ``steps``.
      rules: ``exact`` (earliest time, exact integral, budgets enforced) or ``official`` (AlgoPerf's code to the digit).
      benchmark: a version that comes with timetrial, or a YAML file; None for runs that carry their own targets.
      ruleset: ``external`` (default) or ``self_tuning``; own runs record it, and it must agree.
      draws: bootstrap draws; 0 for none.
      reference: submission for the anchored score and the speedups.
      strict: raise for any irregularity.
      across_machines: compare trials of two machine classes, their times scaled by calibration; else that is an error.

    Raises:
      ScoringError: anything that cannot be scored.
    """
    from scoring import compute

    return compute.score(
        [Path(directory) for directory in directories],
        clock=clock,
        rules=rules,
        benchmark=benchmark,
        ruleset=ruleset,
        draws=draws,
        reference=reference,
        strict=strict,
        across_machines=across_machines,
    )


def print_scoreboard(scoreboard: Scoreboard, console: Console) -> None:
    """Prints the leaderboard, the times and the verdict as terminal tables."""
    from scoring.terminal import print_scoreboard as show

    show(scoreboard, console)


def write_outputs(scoreboard: Scoreboard, folder: Path | str) -> list[Path]:
    """Writes ``scores.csv``, ``time_to_target.csv``, ``profile.csv``, ``score.json`` and ``leaderboard.md``.

    Raises:
      ScoringError: the folder cannot be written.
    """
    from scoring.outputs import write

    return write(scoreboard, Path(folder))


def explain(
    submission: str,
    directories: Sequence[Path | str],
    *,
    clock: str = "wall",
    rules: str = "exact",
    benchmark: str | Path | None = None,
    ruleset: str | None = None,
    reference: str | None = None,
    across_machines: bool = False,
) -> Explanation:
    """Accounts for one submission's score, workload by workload; arguments as for :func:`score`.

    Raises:
      ScoringError: the results cannot be scored, or there is no such submission.
    """
    from scoring import explain as accounts

    board = score(
        directories,
        clock=clock,
        rules=rules,
        benchmark=benchmark,
        ruleset=ruleset,
        draws=0,
        across_machines=across_machines,
    )
    return accounts.explain(board, submission, reference)


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Prints an explanation as a terminal table, largest loss first."""
    from scoring.explain import print_explanation as show

    show(explanation, console)


def power(
    directories: Sequence[Path | str],
    *,
    difference: float | None = None,
    clock: str = "wall",
    rules: str = "exact",
    benchmark: str | Path | None = None,
    ruleset: str | None = None,
    across_machines: bool = False,
) -> Power:
    """How many studies and workloads would resolve a difference of scores (or the observed ones).

    Raises:
      ScoringError: the results cannot be scored, or hold fewer than two submissions or studies.
    """
    from scoring import power as planning

    board = score(
        directories,
        clock=clock,
        rules=rules,
        benchmark=benchmark,
        ruleset=ruleset,
        draws=0,
        across_machines=across_machines,
    )
    return planning.power(board.field, board.benchmark, rules, difference)


def print_power(result: Power, console: Console) -> None:
    """Prints a plan as terminal tables."""
    from scoring.power import print_power as show

    show(result, console)
