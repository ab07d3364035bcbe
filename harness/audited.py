"""What no audit event of Python's tells of tells of one here: it is replaced by a function that does."""

from __future__ import annotations

import _posixsubprocess
import _signal
import _thread
import contextlib
import ctypes
import importlib
import itertools
import os
import posix
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

THREAD_EVENT = "_thread.start_new_thread"
PROCESS_EVENT = "timetrial.fork_exec"
"""Of the function below all of Python's that start a program, of which no event of Python's own tells."""
SIGNAL_EVENT = "timetrial.signal"
_UNTOLD_SIGNALS = ("raise_signal", "pidfd_send_signal")
"""Functions of :mod:`signal` that send one and tell of it by no event."""
PROFILE_EVENT = "timetrial.setprofile"
"""Of a function that is given frames; Python's own event tells of a profiler that only counts (cProfile) as well."""
MEMORY_EVENT = "timetrial.memory"
ASKED_EVENT = "timetrial.stat"
"""Of whatever tells that a file is there, how large it is, or when it was changed, without opening it."""
_ASKING = ("stat", "lstat", "access", "statvfs", "pathconf", "readlink", "mkfifo", "mknod")
"""The last two fail otherwise where there is a file already."""
_ABLE = (os.supports_dir_fd, os.supports_effective_ids, os.supports_fd, os.supports_follow_symlinks)
"""Sets of functions of :mod:`os`, by which libraries ask what those can."""
FOREIGN_EVENT = "timetrial.cffi"
"""Of what cffi reaches libraries and memory by."""
EVALUATOR_EVENT = "timetrial.set_eval_frame"
"""Of the function by which torch's compiler is given every frame before it runs."""
CODE_EVENT = "timetrial.machine_code"
"""Of what the frameworks load machine code by."""
_OF_TORCH = ("_aoti", "_nativert")
"""Modules of torch's machine code whose classes load more of it when an object is made."""
_OF_JAX = ("jaxlib._jax", "jaxlib.xla_extension")
_PLUGIN = "load_pjrt_plugin"


def tell_what_no_event_tells(pid: int) -> None:
    """From now on, in the process of that number."""
    if sys.version_info < (3, 13):  # which tells of threads itself
        for module, name in ((threading, "_start_new_thread"), (_thread, "start_new_thread")):
            setattr(module, name, _audited(THREAD_EVENT, getattr(module, name)))
    for module, name in itertools.product((signal, _signal), _UNTOLD_SIGNALS):
        setattr(module, name, _audited(SIGNAL_EVENT, getattr(module, name), pid))
    for module, name in ((_posixsubprocess, "fork_exec"), (subprocess, "_fork_exec")):
        setattr(module, name, _audited(PROCESS_EVENT, getattr(module, name)))
    for name in _ASKING:
        _replace_in_os(name, _audited(ASKED_EVENT, getattr(os, name)))
    sys.setprofile = _audited(PROFILE_EVENT, sys.setprofile)
    for module in filter(None, map(sys.modules.get, ("torch._C._dynamo.eval_frame", "torch._dynamo.eval_frame"))):
        if hasattr(module, "set_eval_frame"):
            module.set_eval_frame = _audited(EVALUATOR_EVENT, module.set_eval_frame)
    for name in ("_cast", "memmove", "memset", "CFUNCTYPE", "PYFUNCTYPE"):
        setattr(ctypes, name, _audited(MEMORY_EVENT, getattr(ctypes, name)))
    with contextlib.suppress(ImportError):
        cffi = importlib.import_module("_cffi_backend")
        for name in ("load_library", "cast", "FFI"):
            setattr(cffi, name, _audited(FOREIGN_EVENT, getattr(cffi, name)))


def _replace_in_os(name: str, function: Callable[..., Any]) -> None:
    original = getattr(os, name)
    for module in (os, posix):
        setattr(module, name, function)
    for able in _ABLE:
        if original in able:
            able.remove(original)
            able.add(function)


def tell_of_machine_code() -> None:
    """From now on, of what the frameworks that are imported by now load; torch's classes stay, for they are looked for
    by name and by object."""
    core = sys.modules.get("torch._C")
    for module in filter(None, (getattr(core, name, None) for name in _OF_TORCH)):
        for cls in (value for value in list(vars(module).values()) if isinstance(value, type)):
            make = vars(cls).get("__init__")
            if make is not None and getattr(make, "__code__", None) is not AUDITED:
                setattr(cls, "__init__", _audited(CODE_EVENT, make))  # noqa: B010
    for plugins in filter(None, map(sys.modules.get, _OF_JAX)):
        load = getattr(plugins, _PLUGIN, None)
        if load is not None and getattr(load, "__code__", None) is not AUDITED:
            setattr(plugins, _PLUGIN, _audited(CODE_EVENT, load))


def _audited(event: str, function: Callable[..., Any], *first: Any) -> Callable[..., Any]:
    """The function, which tells of each call by an event with its arguments, or with what is given in their place."""

    def audited(*arguments: Any, **named: Any) -> Any:
        sys.audit(event, *(first or (*arguments, *named.values())))
        return function(*arguments, **named)

    return audited


AUDITED = _audited("", print).__code__
"""Whoever calls what this makes has done what the event tells."""
