"""``timetrial``: the command line. Every verb is a thin layer over a Python function of the same meaning.

Exit codes: 0 all is well; 2 bad input; 3 nothing was measured; 4 some trials failed (they are recorded, the others
ran); 5 chaos changed a record; 130 interrupted; 143 terminated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import __version__
from harness.cli_authoring import COMMANDS as AUTHORING_COMMANDS
from harness.cli_calibrate import COMMANDS as CALIBRATE_COMMANDS
from harness.cli_check import COMMANDS as CHECK_COMMANDS
from harness.cli_compare import COMMANDS as COMPARE_COMMANDS
from harness.cli_data import COMMANDS as DATA_COMMANDS
from harness.cli_machine import COMMANDS as MACHINE_COMMANDS
from harness.cli_options import (
    FILE,
    FOLDER,
    Number,
    as_json_option,
    jobs_option,
    memory_option,
    refuse_without_effect,
    replace_stale_option,
    rerun_option,
    retry_failed_option,
    say_plan,
)
from harness.cli_scoring import COMMANDS, score_and_report
from harness.termination import TerminatedError, ended_by_sigterm, what_remains

if TYPE_CHECKING:
    from harness.launch import Limits
    from harness.suite import Request

EXIT_BAD_INPUT, EXIT_NOTHING_MEASURED, EXIT_TRIALS_FAILED, EXIT_INTERRUPTED = 2, 3, 4, 130
EXIT_LEDGERS_DIFFER, EXIT_TERMINATED = 5, 143

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Group(click.Group):
    """Turns the project's errors into one clear line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        with _errors_for_people(ctx), ended_by_sigterm():
            return super().invoke(ctx)


@contextlib.contextmanager
def _errors_for_people(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except TerminatedError:
        _say("; ".join(filter(None, ("terminated", what_remains(ctx.invoked_subcommand)))))
        sys.exit(EXIT_TERMINATED)
    except KeyboardInterrupt:
        _say("; ".join(filter(None, ("interrupted", what_remains(ctx.invoked_subcommand)))))
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if not _is_for_people(error):
            raise
        _say(f"error: {error}")
        sys.exit(EXIT_BAD_INPUT)


def _is_for_people(error: Exception) -> bool:
    """Compares by name, so that naming an error's class here imports no room before it is needed."""
    known = {"UsageError", "WorkloadError", "StoreError", "ScoringError"}
    return any(cls.__name__ in known for cls in type(error).__mro__)


def _say(text: str) -> None:
    click.echo(text, err=True)


@click.group(cls=_Group, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="timetrial")
def main() -> None:
    """Find out which training algorithm gets a network to a given quality in the least time, and how sure that is.

    \b
    Examples:
      timetrial list submissions
      timetrial plan quick
      timetrial run quick --out runs/quick --jobs 2
      timetrial run --submission nadamw_cosine --workload mnist --framework torch --out runs/try
      timetrial report runs/quick
      timetrial new my_idea --framework torch

    \b
    Exit codes: 0 fine, 2 bad input, 3 nothing was measured, 4 some trials failed, 5 chaos changed a record,
    130 interrupted, 143 terminated.
    """


for _command in (
    *COMMANDS,
    *COMPARE_COMMANDS,
    *CALIBRATE_COMMANDS,
    *CHECK_COMMANDS,
    *DATA_COMMANDS,
    *MACHINE_COMMANDS,
    *AUTHORING_COMMANDS,
):
    main.add_command(_command)


# ---- list ----


@main.command("list")
@click.argument("what", type=click.Choice(["workloads", "submissions", "suites"]))
@click.option("--scale", type=click.Choice(["mini", "full"]), default="mini", show_default=True, help="For workloads.")
@as_json_option
def list_command(what: str, scale: str, as_json: bool) -> None:
    """List what can be run.

    \b
    Examples:
      timetrial list workloads
      timetrial list workloads --scale full --json
      timetrial list submissions
      timetrial list suites
    """
    from harness import listing

    rows = {
        "workloads": lambda: listing.list_workloads(scale),  # type: ignore[arg-type]
        "submissions": listing.list_submissions,
        "suites": listing.list_suites,
    }[what]()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        click.echo(listing.as_table(rows))


# ---- plan and run ----


def _request_options(command: Any) -> Any:
    options = [
        click.argument("suite", required=False),
        click.option("--submission", "-s", "submissions", multiple=True, metavar="NAME|PATH", help="Repeatable."),
        click.option("--workload", "-w", "workloads", multiple=True, metavar="NAME", help="Full name; repeatable."),
        click.option("--framework", type=click.Choice(["torch", "jax"]), help="Default: all that the entry has."),
        click.option("--ruleset", metavar="external|self-tuning", help="Default: self-tuning, if the entries can."),
        click.option("--studies", type=click.IntRange(1), help="Repetitions with other seeds. Default: 3."),
        click.option("--trials", type=click.IntRange(1), help="External: hyperparameter points per study. Default: 5."),
        click.option("--search-space", type=FILE, help="External: JSON or YAML file in place of the entries' own."),
        click.option("--track", help="What entries may change: algoperf, initializers, finetuning, open."),
        click.option("--scale", type=click.Choice(["mini", "full"]), help="Default: mini."),
        click.option("--seed", type=click.IntRange(0), help="Default: 0."),
        click.option("--threads", type=click.IntRange(1), help="Per trial. Default: 1."),
        click.option("--budget", metavar="TIME", help="Submission time per trial, as 90, 90s, 10m or 3h."),
        click.option("--max-steps", type=click.IntRange(1), help="Ends every trial after so many steps."),
        click.option("--data-dir", type=FOLDER, help="Where data lies or is cached."),
        click.option("--out", type=FOLDER, help="Results folder. Default: runs/<suite or 'run'>."),
        jobs_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command("plan")
@_request_options
@replace_stale_option
@retry_failed_option
@rerun_option
@as_json_option
def plan_command(rerun_disturbed: int, as_json: bool, replace_stale: bool, retry_failed: bool, **options: Any) -> None:
    """Say what a run would do: trials done, missing, stale (and why), failed or disturbed, and the price of what it
    would run; or that it would be refused.

    \b
    Examples:
      timetrial plan quick
      timetrial plan standard --out runs/standard --jobs 2 --json
    """
    from harness.plan import Status, plan_trials
    from harness.plan_view import report_of

    repeats = {Status.STALE: replace_stale, Status.FAILED: retry_failed}
    repeated = frozenset(status for status, asked in repeats.items() if asked)
    say_plan(
        [
            report_of(request, plan_trials(request), out, jobs, rerun_disturbed, repeated)
            for request, out, jobs in _targets_of(options)
        ],
        as_json,
    )


_NOT_WITH_CHAOS = ("replace_stale", "retry_failed", "checkpoint_every", "rerun_disturbed", "count_flops", "no_report")


@main.command("run")
@_request_options
@replace_stale_option
@retry_failed_option
@click.option("--grace", type=Number(1), default=60.0, show_default=True, metavar="SEC",
              help="How long beyond its budget a trial may be silent before it is ended.")  # fmt: skip
@memory_option("Per trial. Default: an equal share.")
@click.option("--checkpoint-every", type=Number(0), default=10.0, show_default=True, metavar="SEC",
              help="Least wall time between two checkpoints of a trial; each follows an evaluation.")  # fmt: skip
@rerun_option
@click.option("--across-machines", is_flag=True,
              help="Go on in a folder of another machine class, and score times scaled by calibration.")  # fmt: skip
@click.option("--count-flops", is_flag=True, help="Record the floating-point operations of a step (off the clock).")
@click.option("--race", is_flag=True, help="Stop trials that can no longer change a score on the wall clock.")
@click.option("--anchor", "anchors", multiple=True, type=FOLDER, metavar="FOLDER",
              help="With --race: results to be scored along, such as results/reference; repeatable.")  # fmt: skip
@click.option("--chaos", is_flag=True, help="Kill, freeze and starve the trials at random, run them undisturbed into "
              "<out>-undisturbed too, and compare the records.")  # fmt: skip
@click.option("--chaos-seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--chaos-every", type=Number(0.05), default=2.0, show_default=True, metavar="SEC",
              help="Mean time between two disturbances.")  # fmt: skip
@click.option("--no-report", is_flag=True, help="Do not score and write the report at the end.")
@as_json_option
def run_command(
    replace_stale: bool,
    retry_failed: bool,
    grace: float,
    memory: float | None,
    checkpoint_every: float,
    rerun_disturbed: int,
    across_machines: bool,
    count_flops: bool,
    race: bool,
    anchors: Sequence[Path],
    chaos: bool,
    chaos_seed: int,
    chaos_every: float,
    no_report: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run what is missing, then score it and write the report. Reissue the command to go on after an interruption.

    \b
    Examples:
      timetrial run quick --jobs 2
      timetrial run my_suite.yaml --out runs/mine
      timetrial run -s nadamw_cosine -s ./my_idea -w mnist -w criteo1tb --framework torch --studies 3 --seed 0
      timetrial run -s muon_wsd -w finewebedu_lm --ruleset external --trials 5 --studies 3 --jobs 2 --race
    """
    from harness.launch import Limits
    from harness.run import run
    from scoring.errors import ScoringError

    limits = Limits(grace, int(memory * 2**30) if memory else None)
    refuse_without_effect(("chaos_seed", "chaos_every"), chaos, "without --chaos; give it as well")
    if chaos and race:
        raise click.UsageError("--chaos compares whole trials, which --race does not leave; give one of them")
    refuse_without_effect(_NOT_WITH_CHAOS, not chaos, "with --chaos, which runs all trials twice and compares them")
    if chaos:
        _run_with_chaos(options, limits, chaos_seed, chaos_every, as_json)
        return
    summaries, unscored = [], False
    for request, out, jobs in _targets_of(options):
        summary = run(
            request,
            out,
            jobs=jobs,
            limits=limits,
            replace_stale=replace_stale,
            retry_failed=retry_failed,
            checkpoint_every=checkpoint_every,
            rerun_disturbed=rerun_disturbed,
            one_machine=not across_machines,
            count_flops=count_flops,
            race=race,
            anchors=anchors,
        )
        told: dict[str, Any] = {"ruleset": request.ruleset, "out": str(out), **dataclasses.asdict(summary)}
        summaries.append(told | {"scores": {}, "report": None})
        if summary.measured and not no_report:
            try:
                summaries[-1] |= score_and_report(
                    [out, *anchors], out / "report", quiet=as_json, across_machines=across_machines
                )
            except ScoringError as error:  # such as trials of two machine classes; what was run is recorded
                _say(f"error: {out} was run, but has no leaderboard: {error}")
                unscored = True
    if as_json:
        click.echo(json.dumps(summaries, indent=1))
    measured, failed = (sum(summary[name] for summary in summaries) for name in ("measured", "failed"))
    if not measured:
        over = sum(summary["planned"] for summary in summaries) - failed
        _say("error: nothing was measured: " + "; ".join(_why_nothing(failed, over)))
        sys.exit(EXIT_NOTHING_MEASURED)
    if failed:
        _say(f"{failed} trials failed; their records say why, and --retry-failed runs them again")
        sys.exit(EXIT_TRIALS_FAILED)
    if unscored:
        sys.exit(EXIT_BAD_INPUT)


def _why_nothing(failed: int, over: int) -> Iterator[str]:
    """Reasons why no trial has an evaluation: failures, and budgets that were over before; nothing else ends one."""
    if failed:
        yield f"{failed} trials failed, and their records say why (trial.json, stop_detail)"
    if over:
        yield f"the budget was over before the first evaluation in {over} trials, give a longer --budget"


def _run_with_chaos(options: Mapping[str, Any], limits: Limits, seed: int, every_sec: float, as_json: bool) -> None:
    from harness.chaos import run_with_chaos

    reports = [
        run_with_chaos(request, out, seed=seed, every_sec=every_sec, jobs=jobs, limits=limits)
        for request, out, jobs in _targets_of(options)
    ]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(report) for report in reports], indent=1))
    for report in reports:
        for line in (*report.difference.differences, report.text):
            _say(line)
    if not all(report.difference.equal for report in reports):
        sys.exit(EXIT_LEDGERS_DIFFER)


def _targets_of(options: Mapping[str, Any]) -> list[tuple[Request, Path, int]]:
    """Requests of a suite or of a command line, each with its results folder and its jobs."""
    from harness.launch import most_jobs
    from harness.requests import requests_from_options

    requests = requests_from_options(options)
    out = options["out"] or Path("runs") / (Path(options["suite"]).stem if options["suite"] else "run")
    jobs = options["jobs"]
    return [
        (
            request,
            out if len(requests) == 1 else out / request.ruleset,
            jobs or most_jobs(request.threads, [framework for _, framework in request.submissions]),
        )
        for request in requests
    ]


if __name__ == "__main__":
    main()
