"""Options and types that several verbs share."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from rich.console import Console

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


class Number(click.FloatRange):
    """A finite number in a range. Click's own lets NaN through, which no bound refuses, and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on standard output and nothing else there."
)

RERUNS = 1
"""How often a disturbed trial is run again by default: a second disturbance says that the machine is busy throughout,
which a third run would not mend."""


def rerun_option(command: Any) -> Any:
    """``--rerun-disturbed`` of every verb that plans or runs trials."""
    return click.option(
        "--rerun-disturbed", type=click.IntRange(0), default=RERUNS, show_default=True, metavar="N",
        envvar="TIMETRIAL_RERUN_DISTURBED", show_envvar=True,
        help="Run a trial again, at most so often, while its machine was disturbed; all records are kept.",
    )(command)  # fmt: skip


def jobs_option(command: Any) -> Any:
    """``--jobs`` of every verb that runs trials."""
    text = "Trials at a time. Default: one per core, or one per GPU where trials train on GPUs."
    return click.option("--jobs", "-j", type=click.IntRange(1), help=text)(command)


def memory_option(help: str, default: float | None = None) -> Any:
    """``--memory`` of the verbs that end a process which holds too much."""
    return click.option(
        "--memory", type=Number(0.1), default=default, show_default=default is not None, metavar="GIB", help=help,
        callback=_of_this_machine,
    )  # fmt: skip


replace_stale_option = click.option(
    "--replace-stale", is_flag=True, help="Rerun trials recorded under other conditions."
)
retry_failed_option = click.option(
    "--retry-failed",
    is_flag=True,
    help="Rerun trials that crashed, hung, were killed, ran out of memory or were disqualified.",
)


def _of_this_machine(context: click.Context, parameter: click.Parameter, gib: float | None) -> float | None:
    """A limit beyond the machine's memory would never be met: the system would end a process of its own choice."""
    if gib is not None and _was_given(context, parameter.name):
        from harness.system_memory import usable_memory

        most = usable_memory() / 2**30
        if gib > most:
            raise click.BadParameter(f"{gib:g} GiB; this machine has {most:.1f} GiB, give less.", context, parameter)
    return gib


def _was_given(context: click.Context, name: str | None) -> bool:
    """Whether the user gave an option, which is then no default and no variable of the environment."""
    return name is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_without_effect(names: Container[str | None], unless: bool, why: str) -> None:
    """Refuses options that the user gave and that would change nothing.

    Args:
      names: of the command's parameters.
      unless: whether they have an effect beside the other options.
      why: beside which they have none, and the remedy.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and not unless and _was_given(context, parameter.name):
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
            raise click.UsageError(f"{shown} has no effect {why}")


def say_plan(reports: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Prints plans (:func:`harness.plan_view.report_of`) for people or for programs."""
    from harness.plan_view import plan_text

    click.echo(json.dumps(list(reports), indent=1) if as_json else "\n\n".join(map(plan_text, reports)))


def table_console() -> Console:
    """Standard output for tables, 120 columns wide where it is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)
