"""The verbs that read results: score, explain, power, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli_options import FOLDER, Number, as_json_option, table_console

_clock = click.option("--clock", type=click.Choice(["wall", "cpu", "steps"]), default="wall", show_default=True)


def _ruleset(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from harness.suite import check_ruleset

    return check_ruleset(value)


def _reading_options(command: Any) -> Any:
    options = [
        _clock,
        click.option("--rules", type=click.Choice(["exact", "official"]), default="exact", show_default=True,
                     help="official: AlgoPerf's code to the digit (trial by index, 100-point integral)."),
        click.option("--benchmark", metavar="NAME|FILE", help="Version of foreign logs: v0.5, v0.6, v1.0, or a YAML."),
        click.option("--ruleset", metavar="external|self-tuning", callback=_ruleset, help="Ruleset of foreign logs."),
        click.option("--across-machines", is_flag=True,
                     help="Compare trials of two machine classes, times scaled by calibration; else an error."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command("timeline")
@click.argument("trial", type=FOLDER)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="An SVG, PNG or PDF file. "
              "Default: <folder's name>_timeline.svg here.")  # fmt: skip
def timeline_command(trial: Path, out: Path | None) -> None:
    """Draw what a trial's time went into: segments between its evaluations, on and off the clock.

    TRIAL is its folder in the results.

    \b
    Examples:
      timetrial timeline runs/quick/self_tuning/nadamw_cosine_torch/study_1/mnist_pytorch/trial_1
      timetrial timeline runs/try/my_idea/study_1/mnist_pytorch/trial_1 --out picture.png
    """
    from results.store import read_trial
    from scoring.timeline import draw_timeline

    path = out or Path(f"{trial.resolve().name}_timeline.svg")
    draw_timeline(read_trial(trial), path)
    click.echo(f"{path} shows where the time of {trial} went")


@click.command("score")
@click.argument("directories", nargs=-1, required=True, type=FOLDER)
@_reading_options
@click.option("--reference", metavar="SUBMISSION", help="Also score against this submission alone.")
@click.option("--draws", type=click.IntRange(0), help="Bootstrap draws; 0 for no intervals. Default: 20,000.")
@click.option("--strict", is_flag=True, help="Turn every listed irregularity into an error.")
@click.option("--out", type=FOLDER, help="Also write scores.csv, time_to_target.csv, profile.csv, "
              "leaderboard.md, score.json there.")  # fmt: skip
@as_json_option
def score_command(
    directories: Sequence[Path], out: Path | None, as_json: bool, draws: int | None, **options: Any
) -> None:
    """Score result folders: ours, or AlgoPerf's logs.

    \b
    Examples:
      timetrial score runs/quick
      timetrial score runs/quick --clock steps --json
      timetrial score runs/quick --reference nadamw_cosine_torch --out tables
      timetrial score logs --benchmark v0.5 --ruleset external --rules official --json
    """
    from scoring import api

    if draws is not None:
        options["draws"] = draws
    groups = run_roots(directories)
    boards = [api.score(group, **options) for group in groups]
    if out:
        for board, group in zip(boards, groups, strict=True):
            api.write_outputs(board, _own_folder(out, groups, group))
    if as_json:
        _print_json([board.to_json() for board in boards])
        return
    for board in boards:
        api.print_scoreboard(board, table_console())


@click.command("explain")
@click.argument("submission")
@click.option("--in", "directories", multiple=True, required=True, type=FOLDER, help="Results folder; repeatable.")
@_reading_options
@click.option("--reference", metavar="SUBMISSION", help="Also give ratios to this submission.")
@as_json_option
def explain_command(submission: str, directories: Sequence[Path], as_json: bool, **options: Any) -> None:
    """Account for a score: per workload the chosen trial, the ratios, what was lost and why, what would help.

    \b
    Examples:
      timetrial explain nadamw_cosine_torch --in runs/quick
      timetrial explain amos --in logs --benchmark v0.5 --reference baseline --json
    """
    from scoring import api

    accounts = [api.explain(submission, group, **options) for group in run_roots(directories)]
    if as_json:
        _print_json([account.to_json() for account in accounts])
        return
    for account in accounts:
        api.print_explanation(account, table_console())


@click.command("power")
@click.argument("directories", nargs=-1, required=True, type=FOLDER)
@_reading_options
@click.option("--difference", type=Number(0, min_open=True), help="Of scores. Default: the observed ones.")
@as_json_option
def power_command(directories: Sequence[Path], as_json: bool, **options: Any) -> None:
    """Say how many studies and workloads would resolve a difference of scores.

    \b
    Examples:
      timetrial power runs/quick
      timetrial power logs --benchmark v0.5 --difference 0.05 --json
    """
    from scoring import api

    results = [api.power(group, **options) for group in run_roots(directories)]
    if as_json:
        _print_json([result.to_json() for result in results])
        return
    for result in results:
        api.print_power(result, table_console())


@click.command("report")
@click.argument("directories", nargs=-1, required=True, type=FOLDER)
@_reading_options
@click.option("--out", type=FOLDER, help="Folder of the report. Default: report/ in the first directory.")
@click.option("--title", help="Heading of the page.")
def report_command(directories: Sequence[Path], out: Path | None, **options: Any) -> None:
    """Write one self-contained HTML page: leaderboard, profile, curves, times and the reason for every miss.

    \b
    Examples:
      timetrial report runs/quick
      timetrial report runs/standard/external --clock steps --out pages/steps
      timetrial report logs --benchmark v0.5 --rules official --out pages/v05
    """
    from scoring.report import write_report

    groups = run_roots(directories)
    for group in groups:
        folder = _own_folder(out, groups, group) if out else group[0] / "report"
        click.echo(write_report(group, folder, **options))


def run_roots(directories: Sequence[Path]) -> list[list[Path]]:
    """The given folders as one group; a folder that only holds one run per ruleset is taken apart."""
    if len(directories) == 1 and not (directories[0] / "run.json").exists():
        inner = sorted(path.parent for path in directories[0].glob("*/run.json"))
        if inner:
            return [[path] for path in inner]
    return [list(directories)]


def score_and_report(
    directories: Sequence[Path], folder: Path, quiet: bool = False, across_machines: bool = False
) -> dict[str, Any]:
    """Writes the report and, unless ``quiet``, prints the leaderboard: the end of a run. Returns ``scores`` by
    submission and the path of the ``report``."""
    from scoring import api
    from scoring.outputs import SCOREBOARD_FILE
    from scoring.report import write_report

    page = write_report(directories, folder, across_machines=across_machines)
    if not quiet:
        api.print_scoreboard(api.score(directories, across_machines=across_machines), table_console())
        click.echo(f"report: {page}")
    scores = json.loads((folder / SCOREBOARD_FILE).read_text())["scores"]
    return {"scores": scores, "report": str(page)}


def _own_folder(out: Path, groups: Sequence[Sequence[Path]], group: Sequence[Path]) -> Path:
    return out if len(groups) == 1 else out / group[0].name


def _print_json(results: Sequence[Any]) -> None:
    """One object for one group of folders, else a list."""
    click.echo(json.dumps(results[0] if len(results) == 1 else results, indent=1))


COMMANDS = (score_command, explain_command, power_command, report_command, timeline_command)
