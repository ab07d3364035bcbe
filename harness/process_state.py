"""What could work in a process while the clock stands: child processes, timers, hooks."""

from __future__ import annotations

import _signal
import gc
import os
import signal
import sys
import threading
from types import FunctionType
from typing import Any

from harness.callers import installed_folders
from harness.machine import descendants

_OF_JAX = tuple(f"{folder}{name}{os.sep}" for folder in installed_folders() for name in ("jax", "jaxlib"))
"""Before there is an entry, which may change the path."""


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
                handler is not before.handlers.get(number) for number, handler in self.handlers.items()
            ),
            "has hooked itself into the garbage collection": any(
                not any(callback is known for known in before.callbacks) and not _is_of_jax(callback)
                for callback in self.callbacks
            ),
            "traces other code": any(now is not then for now, then in zip(self.hooks, before.hooks, strict=True)),
        }
        return [message for message, holds in found.items() if holds]


def _is_of_jax(callback: Any) -> bool:
    """Whether it is a function of jax's, as its module has it: jax hooks itself into the garbage collection when it is
    imported, which an entry may do late. Other libraries' functions may call what an entry gives them (a log's handler,
    for one), and so may any object; and a function made of jax's code, with other values in it, does so too."""
    if type(callback) is not FunctionType or not callback.__code__.co_filename.startswith(_OF_JAX):
        return False
    module = sys.modules.get(callback.__module__)
    given = (callback.__closure__, callback.__defaults__, callback.__kwdefaults__)
    if module is None or callback.__globals__ is not vars(module) or given != (None, None, None):
        return False
    return vars(module).get(callback.__name__) is callback
