"""The verb that finds one configuration for all workloads: calibrate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli_options import (
    FILE,
    FOLDER,
    as_json_option,
    jobs_option,
    replace_stale_option,
    rerun_option,
    retry_failed_option,
    say_plan,
    table_console,
)

if TYPE_CHECKING:
    from harness.calibrate import Outcome, Search

EXIT_NOTHING_REACHED, EXIT_TRIALS_FAILED = 3, 4


@click.command("calibrate")
@click.argument("entry")
@click.option(
    "--suite", default="standard", show_default=True, help="Whose workloads, scale, track and seed are taken."
)
@click.option(
    "--workload", "-w", "workloads", multiple=True, metavar="NAME", help="In place of the suite's; repeatable."
)
@click.option("--framework", type=click.Choice(["torch", "jax"]), help="Default: torch where the entry has it.")
@click.option("--reference", default="nadamw_cosine", show_default=True, metavar="NAME|PATH",
              help="Scored against, with its defaults.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), default=10, show_default=True, help="Points of the search space.")
@click.option("--studies", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of every point.")
@click.option("--seed", type=click.IntRange(0), help="Default: the suite's.")
@click.option("--clock", type=click.Choice(["wall", "cpu", "steps"]), default="wall", show_default=True)
@click.option("--search-space", type=FILE, help="JSON or YAML file that replaces the entry's own.")
@click.option("--budget", metavar="TIME", help="Submission time per trial. Default: the self-tuning ruleset's.")
@click.option("--max-steps", type=click.IntRange(1), help="Ends every trial after so many steps.")
@click.option("--data-dir", type=FOLDER, help="Where data lies or is cached.")
@jobs_option
@click.option("--out", type=FOLDER, default=Path("runs/calibrate"), show_default=True, help="Results folder; entries "
              "may share it, and then share the reference's runs.")  # fmt: skip
@click.option("--write", type=FILE, metavar="FILE", help="Write ENTRY with the chosen point as its defaults (YAML).")
@replace_stale_option
@retry_failed_option
@click.option("--across-machines", is_flag=True,
              help="Go on with another machine class's trials, times scaled by calibration.")  # fmt: skip
@rerun_option
@click.option("--dry-run", is_flag=True, help="Say what is missing and what it would cost, and run nothing.")
@as_json_option
def calibrate_command(
    entry: str,
    clock: str,
    budget: str | None,
    jobs: int | None,
    write: Path | None,
    replace_stale: bool,
    retry_failed: bool,
    across_machines: bool,
    rerun_disturbed: int,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the one configuration of ENTRY with the best score over all workloads at once.

    Every point of the search space runs on every workload, with the budget of an entry without tuning, and is scored
    against the reference. The nested score, chosen on all studies but one and scored on the one left out, is the honest
    one. Reissue the command to go on after an interruption, or with more --trials to add points.

    \b
    Examples:
      timetrial calibrate prodigy --suite standard --dry-run
      timetrial calibrate prodigy --suite standard
      timetrial calibrate dog -w mnist -w criteo1tb --framework jax --trials 5 --jobs 2
      timetrial calibrate prodigy --write prodigy_calibrated.yaml
      timetrial run -s prodigy_calibrated.yaml -s nadamw_cosine -w mnist --seed 1

    \b
    Exit codes: 0 a point was chosen, 2 bad input, 3 no point reached any target, 4 some trials failed.
    """
    from rich.console import Console

    from harness.calibrate import check_writable, plan_search, priced, run_search, write_calibrated
    from harness.launch import most_jobs
    from harness.requests import parse_duration
    from scoring.calibration_view import print_calibration

    search = plan_search(entry, budget_sec=parse_duration(budget) if budget else None, **options)
    if write:
        check_writable(search, write)
    jobs = jobs or most_jobs(search.candidates.threads, [search.framework])
    if dry_run:
        say_plan(priced(search, jobs=jobs, rerun_disturbed=rerun_disturbed if clock != "steps" else 0), as_json)
        return
    outcome = run_search(
        search,
        jobs=jobs,
        clock=clock,
        console=Console(stderr=True, quiet=as_json),
        replace_stale=replace_stale,
        retry_failed=retry_failed,
        across_machines=across_machines,
        rerun_disturbed=rerun_disturbed,
    )
    found = outcome.calibration
    if as_json:
        click.echo(json.dumps(_as_json(search, outcome, clock), indent=1))
    else:
        print_calibration(found, search.points, search.reference.name, table_console())
        for note in outcome.notes:
            click.echo(f"note: {note}", err=True)
    if not found.reached_any:
        click.echo(f"error: no point reached any target; {_records(search, outcome.failed)}", err=True)
        sys.exit(EXIT_NOTHING_REACHED)
    if write:
        calibrated = write_calibrated(search, found, write)
        click.echo(f"{write}: {calibrated.name}; try it with another --seed than this search had", err=True)
    if outcome.failed:
        click.echo(f"{outcome.failed} trials failed and count as misses; {_records(search, outcome.failed)}", err=True)
        sys.exit(EXIT_TRIALS_FAILED)


def _records(search: Search, failed: int) -> str:
    why = f"records of {failed} failures (trial.json, stop_detail)" if failed else "all runs"
    return f"{why} lie in {search.out}"


def _as_json(search: Search, outcome: Outcome, clock: str) -> dict[str, Any]:
    request, found = search.candidates, outcome.calibration.to_json()
    rows = [{**row, "hyperparameters": point} for row, point in zip(found["points"], search.points, strict=True)]
    return {
        "submission": search.entry.name,
        "framework": search.framework,
        "reference": search.reference.name,
        "workloads": list(request.workloads),
        "studies": request.studies,
        "seed": request.seed,
        "clock": clock,
        **found,
        "points": rows,
        "chosen": rows[found["chosen"] - 1] if found["chosen"] else None,
        "trials": {"ran": outcome.ran, "measured": outcome.measured, "failed": outcome.failed},
        "notes": list(outcome.notes),
    }


COMMANDS = (calibrate_command,)
