"""The process of one trial: takes its cores, runs the trial, tells the parent what happens.

Processes are forked from a server that has imported the frameworks once, so that a trial starts in a fraction of a
second. Nothing here writes results; the parent does, also when this process dies.
"""

from __future__ import annotations

import ctypes
import dataclasses
import multiprocessing
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.accelerators import VISIBLE
from harness.messages import close_other_pipes, sender
from results.record import StopReason

if TYPE_CHECKING:
    from harness.task import TrialTask

TRACEBACK_LINES = 30
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_OUT_OF_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "resource_exhausted")


@dataclasses.dataclass(frozen=True)
class Slot:
    """What of the machine is one trial's own: its cores, and the UUID of its GPU (empty: none)."""

    cores: tuple[int, ...]
    gpu: str = ""


def main(task: Any, connection: Connection, slot: Slot, log: Path) -> None:
    """Entry point of the process; sends messages ``(kind, payload)`` and at the end ``finished`` or ``failed``."""
    take_place(slot, log)
    forget_arguments()
    close_other_pipes(connection)
    send = sender(connection)
    try:
        from harness.isolation import enter
        from harness.judge import DistantJudge
        from harness.resume import StartOverError
        from harness.trial import run_trial

        enter(task.folder)
        try:
            outcome = run_trial(task, send, DistantJudge(send, connection))
        except StartOverError:
            send("start_over", {})
            return
    except BaseException as error:
        send("failed", describe_failure(error, task))
    else:
        send("finished", dataclasses.asdict(outcome))
    sys.stdout.flush()
    sys.stderr.flush()
    connection.close()


def judge(task: Any, connection: Connection, slot: Slot, log: Path) -> None:
    """Entry point of the process that judges a trial; its last word may be what has ended it."""
    take_place(slot, log)
    try:
        from harness.judge import serve

        serve(task, connection)
    except BaseException as error:
        connection.send(describe_failure(error, task))
    connection.close()


def forget_arguments() -> None:
    """The process object keeps what it was started with, the task among it, for anyone who asks for it."""
    vars(multiprocessing.current_process()).update(_args=(), _kwargs={}, _target=None)


def take_place(slot: Slot, log: Path) -> None:
    """Ends with the command, runs on the given cores and GPU, prints into the log, adopts what its children leave."""
    die_with_parent()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, slot.cores)
    if slot.gpu:
        os.environ[VISIBLE] = slot.gpu
    redirect_output(log)


def describe_failure(error: BaseException, task: TrialTask) -> dict[str, Any]:
    """Stop reason, one line and the traceback's end for an exception that ended a trial.

    Args:
      error: the exception.
      task: the trial; the line names the innermost place in its entry's own files.
    """
    from harness.compat.sources import place_in
    from harness.entry import InvalidSubmissionError

    lines = "".join(traceback.format_exception(error)).splitlines()
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OUT_OF_MEMORY_SIGNS):
        reason = StopReason.OUT_OF_MEMORY
    elif isinstance(error, InvalidSubmissionError):
        reason = StopReason.INVALID_SUBMISSION
    else:
        reason = StopReason.CRASHED
    detail = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if reason is StopReason.CRASHED:
        detail += place_in(task.entry.path, error) + _missing_hyperparameters(error, task)
    return {"stop_reason": reason, "stop_detail": detail, "traceback": "\n".join(lines[-TRACEBACK_LINES:])}


def _missing_hyperparameters(error: BaseException, task: TrialTask) -> str:
    asks_none = isinstance(error, AttributeError) and error.obj is None and error.name is not None
    if not asks_none or task.spec.hyperparameters is not None:
        return ""
    return (
        "; the self-tuning ruleset gives an entry in code hyperparameters=None: put the values into the source, or run "
        "it with --ruleset external and a search space"
    )


def die_with_parent() -> None:
    """Ends this process when the fork server dies, which it does with the command (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def redirect_output(log: Path) -> None:
    """Sends what a submission prints to a file, so that it cannot disturb the progress display."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except FileNotFoundError:  # the folder went with the command, which was interrupted while this process started
        sys.exit(1)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
