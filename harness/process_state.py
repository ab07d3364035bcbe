"""What could work in a process while the clock stands: child processes, timers, hooks."""

from __future__ import annotations

import _signal
import gc
import os
import signal
import sys
import sysconfig
import threading
from typing import Any

from harness.machine import descendants


class ProcessState:
    """As it is when this is made."""

    def __init__(self) -> None:
        self.callbacks = list(gc.callbacks)
        # signal.getsignal takes what equals SIG_DFL for that
        self.handlers = {number: _signal.getsignal(number) for number in signal.valid_signals()}
        self.timers = [signal.getitimer(which)[0] for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]
        self.timers.append(signal.getitimer(signal.ITIMER_PROF)[0])
        self.hooks = (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())
        self.children = descendants(os.getpid())

    def beyond(self, before: ProcessState) -> list[str]:
        """What is there now and was not before."""
        found = {
            "has a process of its own running beside the clock": bool(self.children - before.children),
            "has set a timer": any(self.timers) and self.timers != before.timers,
            "has set a signal handler": any(
                handler is not before.handlers.get(number) and not _is_of_a_library(handler)
                for number, handler in self.handlers.items()
            ),
            "has hooked itself into the garbage collection": any(
                not any(callback is known for known in before.callbacks) and not _is_of_a_library(callback)
                for callback in self.callbacks
            ),
            "traces other code": any(now is not then for now, then in zip(self.hooks, before.hooks, strict=True)),
        }
        return [message for message, holds in found.items() if holds]


def _is_of_a_library(function: Any) -> bool:
    """Whether an installed package defines it: jax, for one, hooks itself into the garbage collection when it is
    imported. A function's code knows its file; its ``__module__`` is whatever was assigned."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = code.co_filename if code else getattr(module, "__file__", None) or ""
    return "-packages" in file or file.startswith(sysconfig.get_path("stdlib"))
