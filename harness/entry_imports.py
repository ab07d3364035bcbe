"""What an entry imports: libraries, off the clock, and of timetrial's own modules only some."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.compat.installed import ALGOPERF_NAMES

if TYPE_CHECKING:
    from harness.compat.sources import Sources

_ALLOWED_IMPORTS = ("harness.spec", "harness.interface", "harness.compat")
_ROOMS = ("harness", "results", "scoring", "workloads")


def module_of(path: Path, folders: Iterable[Path]) -> str:
    """``workloads.mnist.generator`` of its source or its compiled file; empty for a file outside timetrial's
    rooms. ``submissions`` is none of them: an entry may lie there, and imports what lies beside it.

    Args:
      path: absolute.
      folders: of timetrial's packages.
    """
    room = next((folder for folder in folders if folder.name in _ROOMS and folder in path.parents), None)
    if room is None:
        return ""
    parts = [part for part in path.relative_to(room).parts if part != "__pycache__"]
    return ".".join([room.name, *parts[:-1], parts[-1].partition(".")[0]])


def is_allowed_import(module: str) -> bool:
    """Whether a submission may import a module of timetrial's."""
    return any(f"{module}.".startswith(f"{name}.") for name in _ALLOWED_IMPORTS)


def forbidden_imports(sources: Sources) -> list[tuple[str, str]]:
    """Imports of timetrial's own modules, which a submission has no business with, and where they stand."""
    return [
        (f"imports {found.module}", f"{found.file.name}:{found.line}")
        for found in sources.imports
        if found.top_level in _ROOMS
        and not sources.layout.owns_top_level(found.top_level)
        and not is_allowed_import(found.module)
        and not (found.module == "harness" and set(found.names) <= {"spec", "interface"})
    ]


def import_libraries(sources: Sources) -> None:
    """Imports whatever an entry's files import and is not its own, so that the import of the entry itself, which is on
    the clock, takes no longer than its own code. What cannot be imported is left to the entry to tell."""
    for name in sorted(sources.dotted_names):
        top_level = name.partition(".")[0]
        if top_level not in (*_ROOMS, *ALGOPERF_NAMES) and not sources.layout.owns_top_level(top_level):
            with contextlib.suppress(Exception):
                importlib.import_module(name)
