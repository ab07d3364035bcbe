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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.accelerators import VISIBLE
from harness.failure import describe_failure
from harness.messages import close_other_pipes, sender

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


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
        send("failed", _plain(describe_failure(error, task)))
    else:
        crossing = outcome.crossing and vars(outcome.crossing)
        send("finished", _plain({**vars(outcome), "crossing": crossing}))
    sys.stdout.flush()
    sys.stderr.flush()
    connection.close()


def _plain(ended: dict[str, Any]) -> dict[str, Any]:
    """As the command reads it: of no class that somebody could have replaced, and that Python versions pickle alike."""
    return {**ended, "stop_reason": ended["stop_reason"].value}


def judge(connection: Connection, slot: Slot, log: Path) -> None:
    """Entry point of the process that judges the trials of a slot."""
    take_place(slot, log)
    from harness.judge import serve

    serve(connection)
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
