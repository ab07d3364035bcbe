"""Sees what an entry's code does in a trial's process that it must not do, and says where in its source.

Python's audit events tell of files, connections, processes, raw memory and looks at other code's frames while they
happen; whose doing it is follows from the frames above. What no event tells of (functions replaced, threads, timers,
the model's structure) is compared with the state before the entry was loaded, whenever the clock is about to stop.
A breach is reported at once and disqualifies the trial; nothing is prevented here, see :mod:`harness.isolation`.
"""

from __future__ import annotations

import _signal
import _thread
import contextlib
import ctypes
import dataclasses
import gc
import inspect
import itertools
import os
import resource
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from harness.data_events import DATA_EVENT
from harness.entry_imports import is_allowed_import, module_of
from harness.fixed_parts import (
    FRAMEWORK_MODULES,
    HARNESS_MODULES,
    OF_A_CLASS,
    Member,
    foundations,
    hooks,
    members,
    modules_of,
    of_workload,
    own_modules,
)
from harness.isolation import Places
from harness.machine import descendants
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
_BESIDE = "works while the clock stands"
_set_profile = sys.setprofile
_FRAMES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})
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
    "marshal.loads": "makes code at run time",
}
"""Events that count when the very function which causes them is the entry's: libraries do these things as well."""
_PROCESSES = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})
_THREAD_EVENT = "_thread.start_new_thread"
_THREADS = frozenset({_THREAD_EVENT, "_thread.start_joinable_thread"})
_SIGNAL_EVENT = "timetrial.signal"
_UNTOLD_SIGNALS = ("raise_signal", "pidfd_send_signal")
"""Functions of :mod:`signal` that send one and tell of it by no event."""
_PROFILE_EVENT = "timetrial.setprofile"
"""Of a function that is given frames; Python's own event tells of a profiler that only counts (cProfile) as well."""
_MEMORY_EVENT = "timetrial.memory"
_RAW_MEMORY = frozenset(
    {"ctypes.dlopen", "ctypes.dlsym", "ctypes.addressof", "ctypes.string_at", "ctypes.cdata", _MEMORY_EVENT}
)
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
_OWN_MEMORY = frozenset({"mem", "maps", "smaps", "smaps_rollup", "map_files", "pagemap", "numa_maps"})
"""Of a process, below /proc: by them it reads what it was not given."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OPEN_FILES = Path("/proc/self/fd")
_PATHS = (type(Path()), type(PurePath()), os.DirEntry)
_IMPORTER = "<frozen importlib"
"""Looks into every folder on the path, whoever imports what."""
_TERMINAL = ord("T")
"""The kind of requests to a terminal; the others change what an open file is."""
_LOOKING_LIBRARIES = tuple(f"{os.sep}{name}" for name in ("inspect.py", "logging/__init__.py"))
"""Modules of Python's library whose functions hand frames to who calls them; what they do with frames themselves, to
name a line in a log, is nobody's look."""
_FORMATTING = f"{os.sep}traceback.py"
_HANDING_OUT = frozenset({"walk_stack", "walk_tb"})
"""The functions of that module that hand out frames; the others print them."""
_FILTERING, _FILTERED_CALL = f"{os.sep}_src{os.sep}traceback_util.py", "reraise_with_filtered_traceback"
"""jax's, which looks at the frames of every exception that passes it, and the one function there that calls others."""
_SPEAKING = tuple(f"{os.sep}{name}" for name in ("logging/__init__.py", "warnings.py"))
"""Modules that call an entry's functions to say what happens elsewhere."""
_CARRIERS = tuple(
    f"{os.sep}{name}"
    for name in ("functools.py", "_src/tree_util.py", "_src/tree.py", "_src/traceback_util.py", "utils/_pytree.py")
)
"""Modules that call any function for whoever passes it."""


class Watch:
    """Watches one trial.

    Args:
      own: the entry's files and folders.
      places: what the process may read and write.
      report: is told of each breach once.
      framework: of the trial; loaded, and as it is before the entry comes.
    """

    def __init__(self, own: Iterable[Path], places: Places, report: Report, framework: Framework) -> None:
        self._own = tuple(f"{path}{os.sep}" if path.is_dir() else str(path) for path in own)
        self._places, self._report = places, report
        self._told: set[str] = set()
        self._busy = threading.local()
        self._library = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
        self._packages = _room_folders()
        self._rooms = tuple(f"{path}{os.sep}" for path in self._packages)
        self._pid = os.getpid()
        self._before = _ProcessState()
        self._core = tuple(members([*foundations(), *modules_of(HARNESS_MODULES)]))
        self._known = own_modules()
        self._members = [*self._core, *members(self._known)]
        self._parts: list[Member] = []
        self._workload: Mapping[str, Any] = {}
        self._structure: Any = None
        self._hooks = hooks(framework)
        self.breached = False

    def start(self) -> None:
        """From now on events are heard; there is no way to stop it."""
        sys.addaudithook(_hearing(self, self._busy))
        if sys.version_info < (3, 13):  # which tells of threads itself
            for module, name in ((threading, "_start_new_thread"), (_thread, "start_new_thread")):
                setattr(module, name, _audited(_THREAD_EVENT, getattr(module, name)))
        for module, name in itertools.product((signal, _signal), _UNTOLD_SIGNALS):
            setattr(module, name, _audited(_SIGNAL_EVENT, getattr(module, name), self._pid))
        sys.setprofile = _audited(_PROFILE_EVENT, sys.setprofile)
        for name in ("_cast", "memmove", "memset"):
            setattr(ctypes, name, _audited(_MEMORY_EVENT, getattr(ctypes, name)))

    def report(self, message: str, where: str = "") -> None:
        self.breached = True
        if message not in self._told:
            self._told.add(message)
            self._report(Breach(message, where))

    def report_caller(self, message: str) -> None:
        """As done by the entry's code that is running now."""
        self._busy.now = True
        try:
            caller = self._beyond_libraries(sys._getframe(2))
        finally:
            self._busy.now = False
        if caller:
            self._tell(message, caller)
        else:
            self.report(message)

    # ---- events ----

    def _tell(self, message: str, frame: FrameType) -> None:
        self.report(message, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")

    def _is_entry(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._own)

    def _is_made(self, frame: FrameType) -> bool:
        """Whether its code is of no file that was there: made from text, or written by the process. It is whose it is
        who calls it."""
        file = frame.f_code.co_filename
        if file.startswith((*self._own, *self._library, *self._rooms)) or "-packages" in file:
            return False
        return not Path(file).is_file() or self._places.may_write(Path(file))  # libraries may lie anywhere

    def _caller(self, frame: FrameType) -> FrameType | None:
        """The frame itself if it is the entry's, or that of who asked a library to look or to call."""
        at = frame if self._is_entry(frame) else _who_looks(frame)
        while at is not None and at.f_code.co_filename.endswith(_CARRIERS) and not self._is_entry(at):
            at = at.f_back
        if at is not None and self._is_made(at):
            return self._beyond_python(at)
        return at if at is not None and self._is_entry(at) else None

    def _beyond_python(self, frame: FrameType) -> FrameType | None:
        """The nearest frame outside Python's own library, if it is the entry's."""
        at: FrameType | None = frame
        while at is not None and not self._is_entry(at):
            file = at.f_code.co_filename
            is_python = file.startswith(self._library) and ("-packages" not in file or file.endswith(_CARRIERS))
            if not is_python and not self._is_made(at):
                return None
            at = at.f_back
        return at if at is not None and self._is_entry(at) else None

    def _beyond_libraries(self, frame: FrameType) -> FrameType | None:
        """The nearest frame of timetrial or the entry, if it is the entry's. What a library does when it is imported
        (torch reads which files are mapped into memory) is nobody's doing."""
        at: FrameType | None = frame
        while at is not None:
            if self._is_entry(at):
                return at
            if at.f_code.co_filename.startswith((*self._rooms, _IMPORTER)):
                return None
            at = at.f_back
        return None

    def _on_look(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._caller(frame):
            self._tell(_BY_THE_CALLER[event], caller)

    def _on_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if args[1] in _FRAMES and (caller := self._caller(frame)):
            self._tell(_BY_THE_CALLER["sys._getframe"], caller)

    def _on_set_attribute(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        owner = getattr(args[0], "__module__", None) or type(args[0]).__module__
        if str(owner).partition(".")[0] in ("harness", "workloads", "results") and (caller := self._caller(frame)):
            self._tell(f"changes {args[1]} of an object of {owner}", caller)

    def _on_process(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._beyond_python(frame):
            self._tell("starts a process", caller)

    def _on_thread(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._beyond_python(frame):
            self._tell("starts a thread", caller)

    def _on_kill(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._beyond_python(frame):
            whom = "itself" if args[0] == self._pid else f"process {args[0]}"
            self._tell(f"sends a signal to {whom}", caller)

    def _on_socket(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if event == "socket.__new__" and args[1] == socket.AF_UNIX:
            return
        if caller := self._beyond_python(frame):
            self._tell("opens a network connection", caller)

    def _on_raw_memory(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if caller := self._beyond_python(frame):
            self._tell("reaches for raw memory through ctypes", caller)

    def _on_limit(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        if resource.RLIMIT_CPU in args[:2] and (caller := self._beyond_python(frame)):
            self._tell("has itself killed by a limit of CPU time", caller)

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
        if frame.f_code.co_filename.startswith(_IMPORTER):
            self._on_import(event, path, frame)
            return
        writes = event in _CHANGED_FILES or (event == "open" and _is_writing(args))
        about_itself = Path("/proc", str(os.getpid())) in path.parents  # another number in the copy that asks for sizes
        may = self._places.may_write if writes else self._places.may_read if event == "open" else self._places.may_list
        of_memory = path.parts[1:2] == ("proc",) and not _OWN_MEMORY.isdisjoint(path.parts)
        allowed = (may(path) or (about_itself and not writes)) and not of_memory
        if not allowed and (caller := self._beyond_libraries(frame)):
            self._tell(f"{'writes' if writes else 'reads'} {path}", caller)

    def _on_import(self, event: str, path: Path, frame: FrameType) -> None:
        """Of a module of timetrial's: an import statement is found in the source before, a computed one is not."""
        module = module_of(path, self._packages) if event == "open" else ""
        if module and not is_allowed_import(module) and (caller := self._beyond_python(frame)):
            self._tell(f"imports {module}", caller)

    def _on_data(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        at: FrameType | None = frame
        while at is not None and at.f_code.co_filename.startswith(self._rooms):
            at = at.f_back
        if at is not None and self._is_entry(at):
            self._tell(args[0], at)

    # ---- what no event tells of ----

    def begin(self, loop: TrainingLoop) -> None:
        """Remembers what must stay as it is from here on."""
        self._members += members(modules_of(FRAMEWORK_MODULES[loop.spec.key.framework]))
        self._members += members(module for module in own_modules() if module not in self._known)
        self._parts = list(_parts_of(loop))
        self._workload = of_workload(loop.workload)
        self._structure = loop.backend.structure(loop.params)

    def look(self) -> None:
        """Compares what measures, in a millisecond: at moments that nobody can foresee."""
        self._compare(self._core)

    def _compare(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.is_changed:
                self.report(f"replaces {member.label}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts the clock stands, so that no function of the entry's may run: none that stands in the place of
        another, none that is called by an object's end, and none in a thread."""
        self._find_threads()
        before = sys.getprofile()
        _set_profile(self._on_call)
        try:
            yield
        finally:
            _set_profile(before)
        self._find_threads()

    def _on_call(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not self._is_entry(frame):
            return
        called_by = frame.f_back
        if called_by is None or not called_by.f_code.co_filename.endswith(_SPEAKING):
            self._tell(_BESIDE, frame)

    def _find_threads(self) -> None:
        """Threads of a library's run an entry's functions too."""
        me = threading.get_ident()
        for thread, frame in self._unheard(sys._current_frames).items():
            at = frame if thread != me else None
            while at is not None and not self._is_entry(at):
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
        """Compares, where the clock is about to stop; ``structure`` is that of the parameters given back."""
        self._compare([*self._members, *self._parts])
        for label, owner in _owners(loop).items():
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
        if structure != self._structure:
            self.report("changes the model: other parameters, or other shapes")
        for message in self._unheard(_ProcessState).beyond(self._before):
            self.report(message)


def _hearing(watch: Watch, busy: threading.local) -> Callable[[str, tuple[Any, ...]], None]:
    """What hears events, with a table of its own, which nobody can empty."""
    handlers = dict(_HANDLERS)

    def hear(event: str, args: tuple[Any, ...]) -> None:
        handler = handlers.get(event)
        if handler is None or getattr(busy, "now", False):
            return
        busy.now = True
        try:
            frame = sys._getframe(1)
            outer = frame.f_back
            handler(watch, event, args, outer if outer and frame.f_code is _AUDITED else frame)
        finally:
            busy.now = False

    return hear


def _who_looks(frame: FrameType) -> FrameType | None:
    """Who is handed a frame by whoever looked at it; None where it is looked at to be printed or filtered."""
    code = frame.f_code
    if code.co_filename.endswith(_FORMATTING) and code.co_name not in _HANDING_OUT:
        return None
    at: FrameType | None = frame.f_back if code.co_filename.endswith(_LOOKING_LIBRARIES) else frame
    while at is not None and at.f_code.co_filename.endswith(_FORMATTING):
        at = at.f_back
    filters = at is not None and at.f_code.co_filename.endswith(_FILTERING) and at.f_code.co_name != _FILTERED_CALL
    return None if filters else at


def _audited(event: str, function: Callable[..., Any], *first: Any) -> Callable[..., Any]:
    """The function, which tells of each call by an event with its arguments, or with what is given in their place."""

    def audited(*arguments: Any) -> Any:
        sys.audit(event, *(first or arguments))
        return function(*arguments)

    return audited


_AUDITED = _audited("", print).__code__
"""Whoever calls what this makes has done what the event tells."""


class _ProcessState:
    """What could work while the clock stands: child processes, timers, hooks."""

    def __init__(self) -> None:
        self.callbacks = list(gc.callbacks)
        # signal.getsignal takes what equals SIG_DFL for that
        self.handlers = {number: _signal.getsignal(number) for number in signal.valid_signals()}
        self.timers = [signal.getitimer(which)[0] for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)]
        self.timers.append(signal.getitimer(signal.ITIMER_PROF)[0])
        self.hooks = (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())
        self.children = descendants(os.getpid())

    def beyond(self, before: _ProcessState) -> list[str]:
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


_HANDLERS: Mapping[str, Callable[[Watch, str, tuple[Any, ...], FrameType], None]] = {
    **dict.fromkeys(_BY_THE_CALLER, Watch._on_look),
    "object.__getattr__": Watch._on_attribute,
    "object.__setattr__": Watch._on_set_attribute,
    **dict.fromkeys(_PROCESSES, Watch._on_process),
    **dict.fromkeys(_THREADS, Watch._on_thread),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill", _SIGNAL_EVENT), Watch._on_kill),
    **dict.fromkeys(_SOCKETS, Watch._on_socket),
    **dict.fromkeys(_RAW_MEMORY, Watch._on_raw_memory),
    **dict.fromkeys(_LIMITS, Watch._on_limit),
    **dict.fromkeys((*_FILES, *_CHANGED_FILES), Watch._on_file),
    "fcntl.ioctl": Watch._on_request,
    DATA_EVENT: Watch._on_data,
}


def _owners(loop: TrainingLoop) -> Mapping[str, Any]:
    """The harness's objects in a trial: none has an attribute that hides a method of its class."""
    return {
        "loop": loop,
        "clock": loop.clock,
        "queue": loop.queue,
        "backend": loop.backend,
        "workload": loop.workload,
        "judge": loop.judge,
        "checkpoints": loop.checkpoints,
    }


def _parts_of(loop: TrainingLoop) -> list[Member]:
    """The attributes of the loop, its clock and its queue that training never sets."""
    fixed: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
        ("loop", loop, ("spec", "task", "send", "clock", "backend", "workload", "functions", "queue", "checkpoints")),
        ("loop", loop, ("judge", "watch", "confinement", "shown", "splits", "types", "hyperparameters")),
        ("workload", loop.workload, ("_backend",)),
        ("judge", loop.judge, ("_workload", "_backend")),
        ("clock", loop.clock, ("_read_wall", "_read_cpu", "_wall")),
        ("queue", loop.queue, ("_seed", "_batch_size", "_augment", "_arrays", "_place", "_shuffle_run")),
        *((f"split {name}", arrays, tuple(arrays)) for name, arrays in loop.splits.items()),
    )
    found = []
    for label, owner, names in fixed:
        namespace = owner if isinstance(owner, Mapping) else vars(owner)
        found += [Member(f"{name} of the {label}", namespace, name, namespace[name]) for name in names]
    own = vars(type(loop))
    return found + [Member(f"{name} of the loop's class", own, name, value) for name, value in own.items()]


def _is_of_a_library(function: Any) -> bool:
    """Whether an installed package defines it: jax, for one, hooks itself into the garbage collection when it is
    imported. A function's code knows its file; its ``__module__`` is whatever was assigned."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = code.co_filename if code else getattr(module, "__file__", None) or ""
    return "-packages" in file or file.startswith(sysconfig.get_path("stdlib"))


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
        value = _OPEN_FILES / str(value)
        value = value.readlink() if value.is_symlink() else None
    if isinstance(value, bytes):
        value = os.fsdecode(bytes(value))
    if not isinstance(value, str | os.PathLike):
        return None
    text = str.__str__(value) if isinstance(value, str) else os.fspath(value)  # without a subclass's own methods
    path = Path(os.path.abspath(text))  # noqa: PTH100 (Path.absolute keeps "..")
    return path.resolve() if path.parts[1:2] == ("proc",) else path  # where root and cwd lead anywhere


def _is_writing(args: tuple[Any, ...]) -> bool:
    mode, flags = (*args[1:3], None, None)[:2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)
