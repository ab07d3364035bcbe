"""What audit events are given, read without calling anything that an entry could have made."""

from __future__ import annotations

import os
from pathlib import Path
from types import FunctionType
from typing import Any

from harness.isolation import OPENED

_absolute = os.path.abspath
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def plain(value: Any) -> Any:
    """A text without a subclass's own methods."""
    if type(value) is not str and issubclass(type(value), str):
        return str.__str__(value)
    if type(value) is not bytes and issubclass(type(value), bytes):
        return bytes.__getitem__(value, slice(None))
    return value


def defining_module(obj: Any) -> str:
    """Where a function, a class or an object's class was defined, by nothing that their own code answers."""
    if type(obj) is FunctionType:
        owner = obj.__module__
    else:
        cls = obj if issubclass(type(obj), type) else type(obj)
        try:
            owner = type.__getattribute__(cls, "__module__")
        except AttributeError:  # while it is made, as pybind11 does
            return ""
    return owner if type(owner) is str else ""


def path_of(value: Any, of_open: bool = False) -> Path | None:
    """Absolute, without following links; None for open files, which are numbers, unless they are asked for too."""
    if of_open and isinstance(value, int):
        value = OPENED / str(value)
        value = value.readlink() if value.is_symlink() else None
    if not isinstance(value, str | bytes | os.PathLike):
        return None
    path = Path(_absolute(text_of(value)))  # Path.absolute keeps ".."
    return path.resolve() if path.parts[1:2] == ("proc",) else path  # where root and cwd lead anywhere


def text_of(value: Any) -> str:
    """Of a path, without a subclass's own methods."""
    if isinstance(value, bytes):
        value = os.fsdecode(bytes.__getitem__(value, slice(None)))
    return str.__str__(value) if isinstance(value, str) else os.fspath(value)


def is_writing(args: tuple[Any, ...]) -> bool:
    mode, flags = (*args[1:3], None, None)[:2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)
