"""Which of timetrial's own modules an entry may import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.compat.sources import Sources

_ALLOWED_IMPORTS = ("harness.spec", "harness.interface", "harness.compat")
_ROOMS = ("harness", "results", "scoring", "workloads")


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
