"""SIGTERM, which a scheduler sends before it ends a job, ends a command in the way Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came."""


_GOES_ON = "finished trials are recorded, the same command goes on"
_REMAINS = {
    **dict.fromkeys(("run", "calibrate", "compare", "cv", "targets"), _GOES_ON),
    "check": "a check records nothing, the same command starts it afresh",
}


def what_remains(verb: str | None) -> str:
    """What is left of a verb's work where it is ended; empty where there is nothing to say."""
    return _REMAINS.get(verb or "", "")


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """While it lasts, SIGTERM raises :class:`TerminatedError` in the main thread, so that no process is left behind."""
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return

    def end(*_: Any) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
