"""Hears Python's audit events in a trial's process, and tells which of them an entry has caused that it must not cause.

Whose doing an event is follows from the frames above it (:mod:`harness.callers`). Functions of Python's of which no
event tells are replaced by some that do (:mod:`harness.audited`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from types import FrameType
from typing import Any, TypeVar

from harness.audited import (
    ASKED_EVENT,
    AUDITED,
    CODE_EVENT,
    EVALUATOR_EVENT,
    FOREIGN_EVENT,
    MEMORY_EVENT,
    PROCESS_EVENT,
    SIGNAL_EVENT,
    THREAD_EVENT,
    tell_of_machine_code,
    tell_what_no_event_tells,
)
from harness.callers import IMPORTER, Callers
from harness.data_events import DATA_EVENT
from harness.entry_imports import is_allowed_import, module_of
from harness.event_arguments import defining_module, is_writing, path_of, plain, text_of
from harness.isolation import OPENED, Places
from harness.machine_code import mapped_to_run

T = TypeVar("T")
_DEAF = "works within the watch"
_FRAME_OF_AN_EXCEPTION = "tb_frame"
_FRAMES_OF_TASKS = frozenset({"gi_frame", "cr_frame", "ag_frame"})
_BY_THE_CALLER: Mapping[str, str] = {
    "sys._getframe": "looks at the frames of other code",
    "sys._current_frames": "looks at the frames of other code",
    "sys._current_exceptions": "looks at the frames of other code",
    "gc.get_objects": "looks for objects of other code",
    "gc.get_referrers": "looks for objects of other code",
    "gc.get_referents": "looks for objects of other code",
    "sys.settrace": "traces other code",
    "timetrial.setprofile": "traces other code",
    "sys.monitoring.register_callback": "traces other code",
    "sys.addaudithook": "listens to audit events",
    "exec": "runs code made at run time",
    "compile": "makes code at run time",
    "code.__new__": "makes code at run time",
    EVALUATOR_EVENT: "looks at the frames of other code",
}
"""Events that count when the very function which causes them is the entry's: libraries do these things as well."""
_NAMED: Mapping[str, frozenset[str]] = {
    "exec": frozenset({"exec", "eval"}),
    "compile": frozenset({"compile", "exec", "eval"}),
    "code.__new__": frozenset({"replace", "CodeType"}),
}
"""What a function has in its source that causes an event by itself, where that is not the last part of its name."""
_PROCESSES = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", PROCESS_EVENT}
)
_THREADS = frozenset({THREAD_EVENT, "_thread.start_joinable_thread"})
_RAW_MEMORY = frozenset(
    f"ctypes.{name}"
    for line in (
        "addressof call_function cdata cdata/buffer create_string_buffer create_unicode_buffer dlopen dlsym",
        "dlsym/handle get_errno set_errno get_last_error set_last_error seh_exception string_at wstring_at",
        "PyObj_FromPtr",
    )
    for name in line.split()
) | {MEMORY_EVENT}
"""All that ctypes tells of."""
_CODE_READ = frozenset({"marshal.loads", "marshal.load"})
_BYTE_CODE = ("bytecode_path", "pathname")
"""What importlib calls the file of byte code where it reads it."""
_LIMITS = frozenset({"resource.setrlimit", "resource.prlimit"})
_SOCKETS = frozenset({"socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})
_FILES = frozenset({"open", "os.listdir", "os.scandir"})
_CHANGED_FILES = frozenset(
    {
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.utime", "os.chown", "os.setxattr", "os.removexattr", "shutil.rmtree", "shutil.copyfile", "shutil.move"),
        *("sqlite3.connect", "fcntl.ioctl"),
    }
)
_METADATA = frozenset({"os.chmod", "os.utime", "os.chown", "os.setxattr", "os.removexattr"})
"""Of files: a device is written, and its own times or rights would tell the next trial."""
_OWN_MEMORY = frozenset({"mem", "maps", "smaps", "smaps_rollup", "map_files", "pagemap", "numa_maps"})
"""Of a process, below /proc: by them it reads what it was not given."""
_MAPPED = frozenset({"maps", "smaps", "smaps_rollup", "numa_maps"})
"""Of these, what tells only which files and how much is there."""
_COUNTED_FOR_ALL = "net"
"""The network's counters, which a process finds below its own part of /proc: Landlock opens that as a whole."""
_PATHS = (type(Path()), type(PurePath()), os.DirEntry)
_SIGNALLING = frozenset({fcntl.F_SETOWN, 10, fcntl.F_NOTIFY, 15} if sys.platform == "linux" else ())
"""Requests by which the system sends signals, of any kind, when something happens to a file; F_SETSIG and F_SETOWN_EX
have no name everywhere."""
_TERMINAL = ord("T")
"""The kind of requests to a terminal; the others change what an open file is."""


class Listener:
    """Hears one trial's process.

    Args:
      own: the entry's files and folders.
      places: what the process may read and write.
      report: is told what was done, and in which file and line.
    """

    def __init__(self, own: Iterable[Path], places: Places, report: Callable[[str, str], None]) -> None:
        self._packages = _room_folders()
        self.callers = Callers(own, self._packages, places.may_write)
        self._places, self._report = places, report
        self._busy = threading.local()
        self._pid = os.getpid()
        self._mapped: set[str] = set()
        """Files with machine code that were there before the entry, or that a compiler has loaded since."""

    def start(self) -> None:
        """From now on events are heard; there is no way to stop it."""
        sys.addaudithook(_hearing(self, self._busy))
        tell_what_no_event_tells(self._pid)

    def remember(self) -> None:
        """The machine code that is there before the entry's; libraries have been imported by now."""
        tell_of_machine_code()
        self._mapped |= self.unheard(mapped_to_run)

    def find_machine_code(self) -> None:
        """What is there now, and was loaded by means of which no event tells, from where the entry has put it."""
        for name in sorted(self.unheard(mapped_to_run) - self._mapped):
            path = Path(name)
            if self.callers.is_own(name) or self._places.may_change(path) or not self._places.may_read(path):
                self._report(f"loads machine code: {path.name}", "")

    def tell(self, message: str, frame: FrameType) -> None:
        self._report(message, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")

    def unheard(self, function: Callable[[], T]) -> T:
        self._busy.now = True
        try:
            return function()
        finally:
            self._busy.now = False

    def _heard(self, function: Callable[[Any], T], value: Any) -> T:
        """Within a handler: as if there were none."""
        self._busy.now = False
        try:
            return function(value)
        finally:
            self._busy.now = True

    def _on_look(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.looking(frame, _NAMED.get(event) or frozenset({event.rpartition(".")[2]})):
            self.tell(_BY_THE_CALLER[event], caller)
        elif event == "compile" and frame.f_code.co_filename.startswith(IMPORTER):
            self._on_code_read(event, args, frame)

    def _on_code_read(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """A module's byte code is read for whoever imports it, unless it is the entry's: of it there is the source, and
        byte code names any file as its own."""
        imports = frame.f_code.co_filename.startswith("<frozen")
        if caller := (self.callers.beyond_importing if imports else self.callers.beyond_python)(frame):
            self.tell("makes code at run time", caller)
        elif imports and event in _CODE_READ:
            of = next((plain(frame.f_locals[name]) for name in _BYTE_CODE if name in frame.f_locals), None)
            if of is not None and self.callers.is_own(of):
                self._report(f"runs byte code: {PurePath(of).name}", "")

    def _on_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if type(args[1]) is not str:
            return
        told = args[1] == _FRAME_OF_AN_EXCEPTION and self.callers.looking(frame, frozenset({args[1]}))
        told = told or (args[1] in _FRAMES_OF_TASKS and self.callers.beyond_python(frame))
        if told:
            self.tell(_BY_THE_CALLER["sys._getframe"], told)

    def _on_set_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        owner = defining_module(args[0])
        if owner.partition(".")[0] in ("harness", "workloads", "results") and (caller := self.callers.looking(frame)):
            self.tell(f"changes {args[1]} of an object of {owner}", caller)

    def _on_process(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.beyond_python(frame):
            self.tell("starts a process", caller)

    def _on_thread(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.beyond_python(frame):
            self.tell("starts a thread", caller)

    def _on_kill(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        itself = args[0] == self._pid  # by whichever library
        if itself and args[1:] == (0,):  # asks whether it is there
            return
        if caller := (self.callers.beyond_libraries if itself else self.callers.beyond_python)(frame):
            self.tell(f"sends a signal to {'itself' if itself else f'process {args[0]}'}", caller)

    def _on_socket(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if event == "socket.__new__" and args[1] == socket.AF_UNIX:
            return
        if caller := self.callers.beyond_python(frame):
            self.tell("opens a network connection", caller)

    def _on_raw_memory(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.beyond_python(frame):
            self.tell("reaches for raw memory through ctypes", caller)
        elif event == "ctypes.dlopen":
            self._on_machine_code(args[0], frame)

    def _on_foreign(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.beyond_cffi(frame):
            self.tell("reaches for raw memory through cffi", caller)

    def _on_module(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if args[1] is not None:  # an extension's file
            self._on_machine_code(args[1], frame)

    def _on_machine_code(self, named: Any, frame: FrameType) -> None:
        if isinstance(named, bytes):
            named = os.fsdecode(named)
        if not isinstance(named, str) or os.sep not in named:  # the system looks for other names
            return
        path = Path(named).resolve()
        if self.callers.is_own(named):  # by whichever library
            self._report(f"loads machine code: {path.name}", "")
        elif self._places.may_write(path) and (caller := self.callers.loading(frame)):
            self.tell(f"loads machine code: {path.name}", caller)
        else:
            self._mapped.add(str(path))

    def _on_loader(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        for given in args:
            self._on_machine_code(given, frame)

    def _on_limit(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        of, limits = args[-2:]
        of_time = type(of) is int and of == resource.RLIMIT_CPU and limits is not None
        if of_time and (caller := self.callers.beyond_python(frame)):
            self.tell("has itself killed by a limit of CPU time", caller)

    def _on_wish(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if type(args[1]) is int and args[1] in _SIGNALLING and (caller := self.callers.beyond_python(frame)):
            self.tell("has signals sent by an open file", caller)

    def _on_request(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if args[1] >> 8 & 0xFF != _TERMINAL:
            self._on_file(event, args, frame)

    def _on_file(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        named = args[0] if args else None
        if isinstance(named, os.PathLike) and type(named) not in _PATHS:
            named = self._heard(os.fspath, named)  # runs code of whoever made it
        path = path_of(named, event in _CHANGED_FILES)
        if path is None:
            return
        if frame.f_code.co_filename.startswith(IMPORTER):
            self._on_import(event, path, frame)
            return
        writes = event in _CHANGED_FILES or (event == "open" and is_writing(args))
        about_itself = Path("/proc", str(os.getpid())) in path.parents
        may = self._places.may_write if writes else self._places.may_read if event == "open" else self._places.may_list
        of_memory = path.parts[1:2] == ("proc",) and not _OWN_MEMORY.isdisjoint(path.parts)
        closed = of_memory or (about_itself and _COUNTED_FOR_ALL in path.parts)
        if event in _METADATA:
            may = self._places.may_change
        allowed = (may(path) or (about_itself and not writes)) and not closed
        # Libraries look up which others are loaded (threadpoolctl does for scikit-learn).
        beyond = self.callers.beyond_python if _MAPPED.intersection(path.parts) else self.callers.beyond_libraries
        if not allowed and (caller := beyond(frame)):
            self.tell(f"{'writes' if writes else 'reads'} {path}", caller)

    def _on_asked(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """Landlock lets a process ask whether any file is there, how large it is and how old."""
        named = next((value for value in args if isinstance(value, str | bytes | os.PathLike)), None)  # by any keyword
        if isinstance(named, os.PathLike) and type(named) not in _PATHS:
            named = self._heard(os.fspath, named)
        path = path_of(named)
        if path is None:
            return
        asked = Path(text_of(named))
        if asked.parent in (OPENED, Path("/proc", str(self._pid), OPENED.name)):  # it has that open
            return
        path = asked.resolve() if os.pardir in asked.parts else path
        if self._places.is_hidden(path) and (caller := self.callers.beyond_libraries(frame)):
            self.tell(f"asks about {path}", caller)

    def _on_import(self, event: str, path: Path, frame: FrameType) -> None:
        """Of a module of timetrial's: an import statement is found in the source before, a computed one is not."""
        if event == "open" and path.suffix == ".pyc" and self.callers.is_own(str(path)):
            if path.parent.name == "__pycache__":
                raise FileNotFoundError(errno.ENOENT, "the source is read instead", str(path))
            self._report(f"runs byte code: {path.name}", "")
        module = module_of(path, self._packages) if event == "open" else ""
        if module and not is_allowed_import(module) and (caller := self.callers.beyond_python(frame)):
            self.tell(f"imports {module}", caller)

    def _on_data(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self.callers.beyond_timetrial(frame):
            self.tell(args[0], caller)


def _hearing(listener: Listener, busy: threading.local) -> Callable[[str, tuple[Any, ...]], None]:
    """What hears events, with a table of its own, which nobody can empty."""
    handlers, frame_of, is_entry, tell = dict(_HANDLERS), sys._getframe, listener.callers.is_entry, listener.tell
    unheard = Listener.unheard.__code__

    def hear(event: str, args: tuple[Any, ...]) -> None:
        handler = handlers.get(event)
        if handler is None:
            return
        if getattr(busy, "now", False):
            if event != ASKED_EVENT and not getattr(busy, "asks", False):
                busy.asks = True
                at: FrameType | None = frame_of(1)
                while at is not None and at.f_code not in (hear.__code__, unheard) and not is_entry(at):
                    at = at.f_back
                if at is not None and is_entry(at):
                    tell(_DEAF, at)
                busy.asks = False
            return
        busy.now = True
        try:
            frame = frame_of(1)
            outer = frame.f_back
            handler(listener, event, tuple(map(plain, args)), outer if outer and frame.f_code is AUDITED else frame)
        finally:
            busy.now = False

    return hear


_HANDLERS: Mapping[str, Callable[[Listener, str, tuple[Any, ...], FrameType], None]] = {
    **dict.fromkeys(_BY_THE_CALLER, Listener._on_look),
    "object.__getattr__": Listener._on_attribute,
    "object.__setattr__": Listener._on_set_attribute,
    **dict.fromkeys(_PROCESSES, Listener._on_process),
    **dict.fromkeys(_THREADS, Listener._on_thread),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill", SIGNAL_EVENT), Listener._on_kill),
    **dict.fromkeys(_SOCKETS, Listener._on_socket),
    **dict.fromkeys(_RAW_MEMORY, Listener._on_raw_memory),
    **dict.fromkeys(_CODE_READ, Listener._on_code_read),
    FOREIGN_EVENT: Listener._on_foreign,
    "import": Listener._on_module,
    **dict.fromkeys((CODE_EVENT, "sqlite3.load_extension"), Listener._on_loader),
    **dict.fromkeys(_LIMITS, Listener._on_limit),
    **dict.fromkeys((*_FILES, *_CHANGED_FILES), Listener._on_file),
    ASKED_EVENT: Listener._on_asked,
    "fcntl.ioctl": Listener._on_request,
    "fcntl.fcntl": Listener._on_wish,
    DATA_EVENT: Listener._on_data,
}


def _room_folders() -> list[Path]:
    import harness
    import results
    import submissions
    import workloads

    return [Path(path) for package in (harness, results, submissions, workloads) for path in package.__path__]
