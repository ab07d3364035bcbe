"""The verb that checks an entry: check."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from harness.cli_options import Number, as_json_option, memory_option, refuse_without_effect

EXIT_FINDINGS = 2
_OF_A_RUN = ("losses", "timeout", "memory")


@click.command("check")
@click.argument("path", metavar="PATH|NAME", required=False)
@click.option("--loss", "losses", multiple=True, metavar="NAME",
              help="Run on this type of loss alone; repeatable. softmax, sigmoid, absolute, squared or ctc. "
              "Default: all but squared.")  # fmt: skip
@click.option("--no-run", is_flag=True, help="Look at the files alone; takes a second.")
@click.option("--timeout", type=Number(1), default=120.0, show_default=True, metavar="SEC",
              help="How long one run of eight steps may take.")  # fmt: skip
@memory_option("Memory that the entry may hold.", default=6.0)
@click.option("--rules", is_flag=True, help="List the rules, and check nothing.")
@as_json_option
def check_command(
    path: str | None,
    losses: Sequence[str],
    no_run: bool,
    timeout: float,
    memory: float,
    rules: bool,
    as_json: bool,
) -> None:
    """Check an entry before it is entered: its files, and a few steps on a toy workload of each type of loss.

    Needs no data set. Every finding says what, where and how to mend it. Errors keep an entry out; warnings are for a
    person to judge.

    \b
    Examples:
      timetrial check ./my_idea
      timetrial check nadamw_cosine --json
      timetrial check ./my_idea --loss ctc
      timetrial check ./my_idea/submission.py --no-run
      timetrial check --rules

    \b
    Exit codes: 0 no errors (there may be warnings), 2 errors were found, or PATH is no entry.
    """
    from harness.check import LOSSES, Limits, check

    refuse_without_effect(("path", "no_run", *_OF_A_RUN), not rules, "with --rules; leave one of them out")
    if rules:
        _list_rules(as_json)
        return
    if path is None:
        raise click.MissingParameter(param_type="argument", param_hint="PATH|NAME")
    refuse_without_effect(_OF_A_RUN, not no_run, "with --no-run; leave one of them out")
    limits = Limits(timeout, int(memory * 2**30))
    say = (lambda text: None) if as_json else (lambda text: click.echo(text, err=True))
    report = check(path, losses=losses or LOSSES, run=not no_run, limits=limits, say=say)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1))
    else:
        for finding in report.findings:
            click.echo(finding)
        warnings = len(report.findings) - report.errors
        where = f"ran in {' and '.join(report.ran)} on {', '.join(report.losses)}" if report.ran else "did not run"
        click.echo(f"{report.path.name}: {report.errors} errors, {warnings} warnings; {where}")
    if report.errors:
        sys.exit(EXIT_FINDINGS)


def _list_rules(as_json: bool) -> None:
    from harness.check import RULES

    if as_json:
        click.echo(json.dumps([rule.to_json() for rule in RULES.values()], indent=1))
        return
    for rule in RULES.values():
        click.echo(f"{rule.id:26}{rule.severity:9}{rule.kind:8}an entry {rule.summary}")


COMMANDS = (check_command,)
