"""Whose doing an event is: found from the frames above it.

Most of what an entry must not do is done by libraries too. So an event counts when the entry's own code causes it,
directly or through something that only carries or hands out for whoever asks.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

IMPORTER = "<frozen importlib"
"""Looks into every folder on the path, whoever imports what."""
_LOOKING_LIBRARIES = tuple(f"{os.sep}{name}" for name in ("inspect.py", "logging/__init__.py"))
"""Modules of Python's library whose functions hand frames to who calls them; what they do with frames themselves, to
name a line in a log, is nobody's look."""
_DEBUGGERS = tuple(f"{os.sep}{name}.py" for name in ("bdb", "pdb", "profile", "trace", "doctest", "code"))
"""Those that hand frames to whoever has called them or overrides their methods, by many steps."""
_FORMATTING = f"{os.sep}traceback.py"
_HANDING_OUT = frozenset({"walk_stack", "walk_tb"})
"""The functions of that module that hand out frames; the others print them."""
_FILTERING, _FILTERED_CALL = f"{os.sep}_src{os.sep}traceback_util.py", "reraise_with_filtered_traceback"
"""jax's, which looks at the frames of every exception that passes it, and the one function there that calls others."""
_CARRIERS = tuple(
    f"{os.sep}{name}"
    for name in ("functools.py", "_src/tree_util.py", "_src/tree.py", "_src/traceback_util.py", "utils/_pytree.py")
)
"""Modules that call any function for whoever passes it."""


_FOREIGN = f"{os.sep}cffi{os.sep}"
_COMPILERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("torch/_inductor", "triton"))
"""Packages that load what they have compiled."""
_LOADING = ("get_code", "get_data", "get_filename", "path_stats", "source_to_code")
"""Methods by which a loader says what a module's code is."""


def installed_folders() -> tuple[str, ...]:
    """Where installed packages lie, each with a separator at its end."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    folders |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    return tuple(f"{folder}{os.sep}" for folder in folders)


class Callers:
    """Tells an entry's frames from those of others.

    Args:
      own: the entry's files and folders.
      packages: timetrial's folders.
      may_write: whether the process may write a file: its code is then of no library.
    """

    def __init__(self, own: Iterable[Path], packages: Iterable[Path], may_write: Callable[[Path], bool]) -> None:
        self._own = tuple(f"{path}{os.sep}" if path.is_dir() else str(path) for path in own)
        self._library = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
        self._installed = installed_folders()
        self._rooms = tuple(f"{path}{os.sep}" for path in packages)
        self._may_write = may_write

    def is_own(self, file: object) -> bool:
        """Whether a file is one of the entry's."""
        # Of a text of the entry's own kind, str would be what that says.
        return issubclass(type(file), str) and str(Path(str.__str__(file)).resolve()).startswith(self._own)

    def is_entry(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._own)

    def _is_made(self, frame: FrameType) -> bool:
        """Whether its code is of no file that was there: made from text, or written by the process. It is whose it is
        who calls it."""
        file = frame.f_code.co_filename
        if file.startswith((*self._own, *self._library, *self._rooms, *self._installed)):
            return False
        return not Path(file).is_file() or self._may_write(Path(file))  # libraries may lie anywhere

    def looking(self, frame: FrameType, names: frozenset[str] = frozenset()) -> FrameType | None:
        """The frame itself if it is the entry's, or that of who asked a library to look or to call. A function of
        Python's own that has none of the names in its source was given what it calls."""
        by: FrameType | None = frame
        while by is not None and not self.is_entry(by) and self._only_calls(by, names):
            by = by.f_back
        at = by if by is None or self.is_entry(by) else _who_looks(by)
        while at is not None and at.f_code.co_filename.endswith(_CARRIERS) and not self.is_entry(at):
            at = at.f_back
        if at is not None and self._is_made(at):
            return self.beyond_python(at)
        return at if at is not None and self.is_entry(at) else None

    def _only_calls(self, frame: FrameType, names: frozenset[str]) -> bool:
        code = frame.f_code
        is_python = code.co_filename.startswith(self._library) and not code.co_filename.startswith("<frozen")
        named = {*code.co_names, *(text for text in code.co_consts if isinstance(text, str))}
        return bool(names) and is_python and not self._is_installed(frame) and names.isdisjoint(named)

    def beyond_python(self, frame: FrameType) -> FrameType | None:
        """The nearest frame outside Python's own library, if it is the entry's."""
        at: FrameType | None = frame
        while at is not None and not self.is_entry(at):
            file = at.f_code.co_filename
            is_python = file.startswith(self._library) and ("-packages" not in file or file.endswith(_CARRIERS))
            if not is_python and not self._is_made(at):
                return None
            at = at.f_back
        return at if at is not None and self.is_entry(at) else None

    def beyond_libraries(self, frame: FrameType) -> FrameType | None:
        """The nearest frame of timetrial or the entry, if it is the entry's. What a library does when it is imported
        (torch reads which files are mapped into memory) is nobody's doing."""
        at: FrameType | None = frame
        while at is not None:
            if self.is_entry(at):
                return at
            if at.f_code.co_filename.startswith((*self._rooms, IMPORTER)):
                return None
            at = at.f_back
        return None

    def beyond_cffi(self, frame: FrameType) -> FrameType | None:
        """The nearest frame outside cffi and Python's own library, if it is the entry's."""
        at: FrameType | None = frame
        while at is not None and _FOREIGN in at.f_code.co_filename and not self.is_entry(at):
            at = at.f_back
        return self.beyond_python(at) if at is not None else None

    def loading(self, frame: FrameType) -> FrameType | None:
        """The entry's frame for which, through whichever library, a file is loaded that the process may have written; a
        compiler loads what it has made."""
        at: FrameType | None = frame
        while at is not None and at.f_code.co_filename.startswith(self._library) and not self._is_installed(at):
            at = at.f_back
        if at is None or any(name in at.f_code.co_filename for name in _COMPILERS):
            return None
        return self.beyond_libraries(at)

    def _is_installed(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._installed)

    def beyond_importing(self, frame: FrameType) -> FrameType | None:
        """The entry's frame that has code made by the import system, unless a loader of others reads it of a file."""
        at: FrameType | None = frame
        loader = None
        while at is not None and at.f_code.co_filename.startswith("<frozen"):
            if at.f_code.co_name == "get_code":
                loader = at.f_locals.get("self")
            at = at.f_back
        if loader is not None and not self._is_changed(loader):
            return None
        return self.beyond_python(frame)

    def _is_changed(self, loader: Any) -> bool:
        """Whether some of a loader's methods are the entry's."""
        methods = [getattr(type(loader), name) for name in _LOADING if hasattr(type(loader), name)]
        return not vars(loader).keys().isdisjoint(_LOADING) or any(
            not isinstance(_function(method), FunctionType)
            or _function(method).__code__.co_filename.startswith(self._own)
            for method in methods
        )

    def beyond_timetrial(self, frame: FrameType) -> FrameType | None:
        """The nearest frame outside timetrial, if it is the entry's."""
        at: FrameType | None = frame
        while at is not None and at.f_code.co_filename.startswith(self._rooms) and not self.is_entry(at):
            at = at.f_back
        return at if at is not None and self.is_entry(at) else None


def _function(method: Any) -> Any:
    return getattr(method, "__func__", method)


def _who_looks(frame: FrameType) -> FrameType | None:
    """Who is handed a frame by whoever looked at it; None where it is looked at to be printed or filtered."""
    code = frame.f_code
    if code.co_filename.endswith(_FORMATTING) and code.co_name not in _HANDING_OUT:
        return None
    at: FrameType | None = frame.f_back if code.co_filename.endswith(_LOOKING_LIBRARIES) else frame
    while at is not None and at.f_code.co_filename.endswith(_DEBUGGERS):
        at = at.f_back
    while at is not None and at.f_code.co_filename.endswith(_FORMATTING):
        at = at.f_back
    filters = at is not None and at.f_code.co_filename.endswith(_FILTERING) and at.f_code.co_name != _FILTERED_CALL
    return None if filters else at
