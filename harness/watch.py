"""Sees what an entry's code does in a trial's process that it must not do, and says where in its source.

Python's audit events tell of files, connections, processes, raw memory and looks at other code's frames while they
happen; whose doing it is follows from the frames above. What no event tells of (functions replaced, threads, timers,
the model's structure) is compared with the state before the entry was loaded, whenever the clock is about to stop.
A breach is reported at once and disqualifies the trial; nothing is prevented here, see :mod:`harness.isolation`.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import inspect
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from harness.audited import (
    AUDITED,
    EVALUATOR_EVENT,
    FOREIGN_EVENT,
    MEMORY_EVENT,
    PROCESS_EVENT,
    SIGNAL_EVENT,
    THREAD_EVENT,
    tell_what_no_event_tells,
)
from harness.callers import IMPORTER, Callers
from harness.data_events import DATA_EVENT
from harness.entry_imports import is_allowed_import, module_of
from harness.fixed_parts import (
    FRAMEWORK_MODULES,
    HARNESS_MODULES,
    OF_A_CLASS,
    Member,
    added_to,
    foundations,
    hooks,
    members,
    modules_of,
    names_of_classes,
    of_workload,
    own_modules,
    owners_in,
    parts_of,
)
from harness.isolation import OPENED, Places
from harness.process_state import ProcessState
from harness.spec import Framework

if TYPE_CHECKING:
    from harness.trial import TrainingLoop


@dataclasses.dataclass(frozen=True)
class Breach:
    """What an entry did that disqualifies its trial, and the file and line where (empty where nobody can tell)."""

    message: str
    where: str = ""

    @property
    def text(self) -> str:
        return f"{self.message} ({self.where})" if self.where else self.message


Report = Callable[[Breach], None]

T = TypeVar("T")
_BESIDE = "works beside the clock"
_DEAF = "works within the watch"
_frame_of, _frames_of_threads, _absolute = sys._getframe, sys._current_frames, os.path.abspath
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
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = (type(Path()), type(PurePath()), os.DirEntry)
_SIGNALLING = frozenset({fcntl.F_SETOWN, 10, fcntl.F_NOTIFY, 15} if sys.platform == "linux" else ())
"""Requests by which the system sends signals, of any kind, when something happens to a file; F_SETSIG and F_SETOWN_EX
have no name everywhere."""
_TERMINAL = ord("T")
"""The kind of requests to a terminal; the others change what an open file is."""


class Watch:
    """Watches one trial.

    Args:
      own: the entry's files and folders.
      places: what the process may read and write.
      report: is told of each breach once.
      framework: of the trial; loaded, and as it is before the entry comes.
    """

    def __init__(self, own: Iterable[Path], places: Places, report: Report, framework: Framework) -> None:
        self._packages = _room_folders()
        self._callers = Callers(own, self._packages, places.may_write)
        self._places, self._report = places, report
        self._told: set[str] = set()
        self._busy = threading.local()
        self._pid = os.getpid()
        self._before = ProcessState()
        self._core = tuple(members([*foundations(), *modules_of(HARNESS_MODULES)]))
        self._known = own_modules()
        self._members = [*self._core, *members(self._known)]
        self._classes = names_of_classes(self._known)
        self._parts: list[Member] = []
        self._workload: Mapping[str, Any] = {}
        self._structure: Any = None
        self._framework, self._hooks = framework, hooks(framework)
        self.breached = False

    def start(self) -> None:
        """From now on events are heard; there is no way to stop it."""
        sys.addaudithook(_hearing(self, self._busy))
        tell_what_no_event_tells(self._pid)

    def report_to(self, report: Report) -> None:
        """From now on, in a copy of the process, which has no connection to who is told otherwise."""
        self._report = report

    def report(self, message: str, where: str = "") -> None:
        self.breached = True
        if message not in self._told:
            self._told.add(message)
            self._report(Breach(message, where))

    def report_caller(self, message: str) -> None:
        """As done by the entry's code that is running now."""
        self._busy.now = True
        try:
            caller = self._callers.beyond_libraries(_frame_of(2))
        finally:
            self._busy.now = False
        if caller:
            self._tell(message, caller)
        else:
            self.report(message)

    # ---- events ----

    def _tell(self, message: str, frame: FrameType) -> None:
        self.report(message, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")

    def _on_look(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.looking(frame):
            self._tell(_BY_THE_CALLER[event], caller)
        elif event == "compile" and frame.f_code.co_filename.startswith(IMPORTER):
            self._on_code_read(event, args, frame)

    def _on_code_read(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """A module's byte code is read for whoever imports it, unless it is the entry's: of it there is the source, and
        byte code names any file as its own."""
        imports = frame.f_code.co_filename.startswith("<frozen")
        if caller := (self._callers.beyond_importing if imports else self._callers.beyond_python)(frame):
            self._tell("makes code at run time", caller)
        elif imports and event in _CODE_READ:
            of = next((frame.f_locals[name] for name in ("bytecode_path", "pathname") if name in frame.f_locals), None)
            if self._callers.is_own(of):
                self.report(f"runs byte code: {PurePath(str(of)).name}")

    def _on_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if type(args[1]) is not str:
            return
        told = args[1] == _FRAME_OF_AN_EXCEPTION and self._callers.looking(frame)
        told = told or (args[1] in _FRAMES_OF_TASKS and self._callers.beyond_python(frame))
        if told:
            self._tell(_BY_THE_CALLER["sys._getframe"], told)

    def _on_set_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        owner = getattr(args[0], "__module__", None) or type(args[0]).__module__
        if str(owner).partition(".")[0] in ("harness", "workloads", "results") and (
            caller := self._callers.looking(frame)
        ):
            self._tell(f"changes {args[1]} of an object of {owner}", caller)

    def _on_process(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.beyond_python(frame):
            self._tell("starts a process", caller)

    def _on_thread(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.beyond_python(frame):
            self._tell("starts a thread", caller)

    def _on_kill(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        itself = args[0] == self._pid  # by whichever library
        if caller := (self._callers.beyond_libraries if itself else self._callers.beyond_python)(frame):
            self._tell(f"sends a signal to {'itself' if itself else f'process {args[0]}'}", caller)

    def _on_socket(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if event == "socket.__new__" and args[1] == socket.AF_UNIX:
            return
        if caller := self._callers.beyond_python(frame):
            self._tell("opens a network connection", caller)

    def _on_raw_memory(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.beyond_python(frame):
            self._tell("reaches for raw memory through ctypes", caller)
        elif event == "ctypes.dlopen":
            self._on_machine_code(args[0], frame)

    def _on_foreign(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.beyond_cffi(frame):
            self._tell("reaches for raw memory through cffi", caller)

    def _on_module(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if args[1] is not None:  # an extension's file
            self._on_machine_code(args[1], frame)

    def _on_machine_code(self, named: Any, frame: FrameType) -> None:
        if isinstance(named, bytes):
            named = os.fsdecode(named)
        if not isinstance(named, str) or os.sep not in named:  # the system looks for other names
            return
        path = Path(named).resolve()
        if self._callers.is_own(named):  # by whichever library
            self.report(f"loads machine code: {path.name}")
        elif self._places.may_write(path) and (caller := self._callers.loading(frame)):
            self._tell(f"loads machine code: {path.name}", caller)

    def _on_limit(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        of_time = any(type(value) is int and value == resource.RLIMIT_CPU for value in args[:2])
        if of_time and (caller := self._callers.beyond_python(frame)):
            self._tell("has itself killed by a limit of CPU time", caller)

    def _on_wish(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if type(args[1]) is int and args[1] in _SIGNALLING and (caller := self._callers.beyond_python(frame)):
            self._tell("has signals sent by an open file", caller)

    def _on_request(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if args[1] >> 8 & 0xFF != _TERMINAL:
            self._on_file(event, args, frame)

    def _on_file(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        named = args[0] if args else None
        if isinstance(named, os.PathLike) and type(named) not in _PATHS:
            named = self._heard(os.fspath, named)  # runs code of whoever made it
        path = _path(named, event in _CHANGED_FILES)
        if path is None:
            return
        if frame.f_code.co_filename.startswith(IMPORTER):
            self._on_import(event, path, frame)
            return
        writes = event in _CHANGED_FILES or (event == "open" and _is_writing(args))
        about_itself = Path("/proc", str(os.getpid())) in path.parents  # another number in the copy that asks for sizes
        may = self._places.may_write if writes else self._places.may_read if event == "open" else self._places.may_list
        of_memory = path.parts[1:2] == ("proc",) and not _OWN_MEMORY.isdisjoint(path.parts)
        if event in _METADATA:
            may = self._places.may_change
        allowed = (may(path) or (about_itself and not writes)) and not of_memory
        if not allowed and (caller := self._callers.beyond_libraries(frame)):
            self._tell(f"{'writes' if writes else 'reads'} {path}", caller)

    def _on_import(self, event: str, path: Path, frame: FrameType) -> None:
        """Of a module of timetrial's: an import statement is found in the source before, a computed one is not."""
        if event == "open" and path.suffix == ".pyc" and self._callers.is_own(str(path)):
            if path.parent.name == "__pycache__":
                raise FileNotFoundError(errno.ENOENT, "the source is read instead", str(path))
            self.report(f"runs byte code: {path.name}")
        module = module_of(path, self._packages) if event == "open" else ""
        if module and not is_allowed_import(module) and (caller := self._callers.beyond_python(frame)):
            self._tell(f"imports {module}", caller)

    def _on_data(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._callers.beyond_timetrial(frame):
            self._tell(args[0], caller)

    # ---- what no event tells of ----

    def remember(self) -> None:
        """What must stay as it is when the entry's module is imported, and after."""
        self._members += members(modules_of(FRAMEWORK_MODULES[self._framework]))
        self._before = self._unheard(ProcessState)

    def begin(self, loop: TrainingLoop) -> None:
        """Remembers what must stay as it is from here on."""
        later = [module for module in own_modules() if module not in self._known]
        self._members += members(later)
        self._classes = {**names_of_classes(later), **self._classes}
        self._parts = list(parts_of(loop))
        self._workload = of_workload(loop.workload)
        self._structure = loop.backend.structure(loop.params)

    def look(self) -> None:
        """Compares what measures, in a millisecond: at moments that nobody can foresee."""
        self._compare(self._core)

    def _compare(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.is_changed:
                self.report(f"replaces {member.label}")

    def _find_threads(self) -> None:
        """Threads of a library's run an entry's functions too."""
        me = threading.get_ident()
        for thread, frame in self._unheard(_frames_of_threads).items():
            at = frame if thread != me else None
            while at is not None and not self._callers.is_entry(at):
                at = at.f_back
            if at is not None:
                self._tell(_BESIDE, at)

    def _unheard(self, function: Callable[[], T]) -> T:
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

    def inspect(self, loop: TrainingLoop, structure: Any) -> None:
        """Compares, where the clock is about to stop; ``structure`` is that of the parameters given back, None where
        nobody has asked for it."""
        self._find_threads()
        self._compare([*self._members, *self._parts])
        for name in added_to(self._classes):
            self.report(f"replaces {name}")
        for label, owner in owners_in(loop).items():
            for name in vars(owner):
                if inspect.isfunction(getattr(type(owner), name, None)):
                    self.report(f"replaces {name} of the {label}")
        for name, value in hooks(loop.spec.key.framework).items():
            if value != self._hooks[name]:
                self.report(f"changes {name}")
        now = of_workload(loop.workload)
        for name, value in self._workload.items():
            if not _same(now.get(name), value):
                self.report(f"changes {name} of the workload")
        for name in now.keys() - self._workload.keys():
            if name.endswith(OF_A_CLASS):  # an object's own attributes may be values that it keeps once computed
                self.report(f"adds {name} to the workload")
        if structure is not None and structure != self._structure:
            self.report("changes the model: other parameters, or other shapes")
        for message in self._unheard(ProcessState).beyond(self._before):
            self.report(message)


def _hearing(watch: Watch, busy: threading.local) -> Callable[[str, tuple[Any, ...]], None]:
    """What hears events, with a table of its own, which nobody can empty."""
    handlers, frame_of, is_entry, tell = dict(_HANDLERS), sys._getframe, watch._callers.is_entry, watch._tell

    def hear(event: str, args: tuple[Any, ...]) -> None:
        handler = handlers.get(event)
        if handler is None:
            return
        if getattr(busy, "now", False):
            if not getattr(busy, "asks", False):
                busy.asks = True
                frame = frame_of(1)
                if is_entry(frame):
                    tell(_DEAF, frame)
                busy.asks = False
            return
        busy.now = True
        try:
            frame = frame_of(1)
            outer = frame.f_back
            handler(watch, event, args, outer if outer and frame.f_code is AUDITED else frame)
        finally:
            busy.now = False

    return hear


_HANDLERS: Mapping[str, Callable[[Watch, str, tuple[Any, ...], FrameType], None]] = {
    **dict.fromkeys(_BY_THE_CALLER, Watch._on_look),
    "object.__getattr__": Watch._on_attribute,
    "object.__setattr__": Watch._on_set_attribute,
    **dict.fromkeys(_PROCESSES, Watch._on_process),
    **dict.fromkeys(_THREADS, Watch._on_thread),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill", SIGNAL_EVENT), Watch._on_kill),
    **dict.fromkeys(_SOCKETS, Watch._on_socket),
    **dict.fromkeys(_RAW_MEMORY, Watch._on_raw_memory),
    **dict.fromkeys(_CODE_READ, Watch._on_code_read),
    FOREIGN_EVENT: Watch._on_foreign,
    "import": Watch._on_module,
    **dict.fromkeys(_LIMITS, Watch._on_limit),
    **dict.fromkeys((*_FILES, *_CHANGED_FILES), Watch._on_file),
    "fcntl.ioctl": Watch._on_request,
    "fcntl.fcntl": Watch._on_wish,
    DATA_EVENT: Watch._on_data,
}


def _room_folders() -> list[Path]:
    import harness
    import results
    import submissions
    import workloads

    return [Path(path) for package in (harness, results, submissions, workloads) for path in package.__path__]


def _same(a: Any, b: Any) -> bool:
    return a is b or bool(a == b)


def _path(value: Any, of_open: bool = False) -> Path | None:
    """Absolute, without following links; None for open files, which are numbers, unless they are asked for too."""
    if of_open and isinstance(value, int):
        value = OPENED / str(value)
        value = value.readlink() if value.is_symlink() else None
    if isinstance(value, bytes):
        value = os.fsdecode(bytes.__getitem__(value, slice(None)))  # without a subclass's own methods
    if not isinstance(value, str | os.PathLike):
        return None
    text = str.__str__(value) if isinstance(value, str) else os.fspath(value)
    path = Path(_absolute(text))  # Path.absolute keeps ".."
    return path.resolve() if path.parts[1:2] == ("proc",) else path  # where root and cwd lead anywhere


def _is_writing(args: tuple[Any, ...]) -> bool:
    mode, flags = (*args[1:3], None, None)[:2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)
