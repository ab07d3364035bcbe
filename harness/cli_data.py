"""The verbs about real data: data status, data prepare."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli_options import as_json_option

if TYPE_CHECKING:
    from harness.datasets import DataStatus

EXIT_NOT_READY = 2
SHOWN = 10
"""Problems that the text lists."""

_data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where data lies. Default: TIMETRIAL_DATA_DIR, else the user's cache folder.",
)


@click.group("data")
def data_command() -> None:
    """Say what real data a workload's full scale needs, what is there of it, and convert it.

    The mini scale needs none: it generates its data.

    \b
    Examples:
      timetrial data status
      timetrial data status ogbg --data-dir /data
      timetrial data prepare finewebedu_lm --data-dir /data
    """


@data_command.command("status")
@click.argument("workload", required=False)
@_data_dir
@click.option("--read", is_flag=True, help="Read every example once, which finds damage inside files; may take hours.")
@as_json_option
def status_command(workload: str | None, data_dir: Path | None, read: bool, as_json: bool) -> None:
    """Say what a workload needs, where to get it and under which terms, what is missing or damaged, and how to mend it.

    \b
    Examples:
      timetrial data status
      timetrial data status criteo1tb --data-dir /data --json
      timetrial data status mnist --read

    \b
    Exit codes: 0 the workload's full scale can run (or none is named), 2 it cannot.
    """
    from harness.datasets import all_data_status, data_status

    if workload is None:
        if read:
            raise click.UsageError("--read needs a WORKLOAD")
        statuses = all_data_status(data_dir)
        if as_json:
            click.echo(json.dumps([status.to_json() for status in statuses], indent=1))
        else:
            click.echo("\n".join(_line(status) for status in statuses))
        return
    with _progress_on_standard_error():
        status = data_status(workload, data_dir, read)
    _show(status, as_json)


@data_command.command("prepare")
@click.argument("workload")
@_data_dir
@as_json_option
def prepare_command(workload: str, data_dir: Path | None, as_json: bool) -> None:
    """Convert a workload's real data once, where it has to be converted. May be called again; what is done is kept.

    \b
    Examples:
      timetrial data prepare finewebedu_lm --data-dir /data

    \b
    Exit codes: 0 the workload's full scale can run, 2 it cannot.
    """
    from harness.datasets import prepare_data

    with _progress_on_standard_error():
        status = prepare_data(workload, data_dir)
    _show(status, as_json)


@contextlib.contextmanager
def _progress_on_standard_error() -> Iterator[None]:
    from workloads.real_data import log

    handler = logging.StreamHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _line(status: DataStatus) -> str:
    if status.ready:
        verdict = "ready"
    elif status.source is None:
        verdict = "real data cannot be read yet"
    else:
        verdict = f"not ready: {status.problems[0].file.name}: {status.problems[0].what}"
        verdict += f" (and {len(status.problems) - 1} more)" if len(status.problems) > 1 else ""
    return f"{status.workload:24}{verdict}"


def _show(status: DataStatus, as_json: bool) -> None:
    click.echo(json.dumps(status.to_json(), indent=1) if as_json else _text(status))
    if not status.ready:
        sys.exit(EXIT_NOT_READY)


def _text(status: DataStatus) -> str:
    lines = [f"{status.workload}: {'ready' if status.ready else 'not ready'} at full scale"]
    if status.source is not None:
        source = status.source
        examples = ", ".join(f"{split} {size:,}" for split, size in status.splits.items())
        lines += [
            f"  data      {source.summary}",
            f"  from      {source.origin}",
            f"  terms     {source.terms}",
            f"  size      {source.size}; {examples} examples",
            f"  folder    {status.folder}",
            *(f"  {'expected' if i == 0 else '':10}{line}" for i, line in enumerate(source.expected)),
        ]
        if status.needs_preparation:
            lines.append(f"  convert   once, with `timetrial data prepare {status.workload}`")
    lines += [f"  problem   {problem}" for problem in status.problems[:SHOWN]]
    if len(status.problems) > SHOWN:
        lines.append(f"            and {len(status.problems) - SHOWN:,} more; --json lists all")
    return "\n".join([*lines, f"  mini      {status.mini}"])


COMMANDS = (data_command,)
