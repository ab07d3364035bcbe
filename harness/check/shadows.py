"""Files of an entry that have the name of one of Python's own modules, which ``import`` takes instead."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from pathlib import Path

from harness.compat.layout import Layout, module_at


def hidden_file(layout: Layout | None, dotted: str) -> Path | None:
    """The file beside the main one that ``sched.make`` was meant for: Python's own ``sched`` has no ``make``."""
    module, _, rest = dotted.partition(".")
    if layout is None or not rest or module not in sys.stdlib_module_names:
        return None
    file = module_at(layout.main.parent, (module,))
    offered = _offered_by(module) if file else None
    return None if offered is None or rest.partition(".")[0] in offered else file


@functools.cache
def _offered_by(module: str) -> frozenset[str] | None:
    """Names that one of Python's own modules may have, read and not imported; None where that does not tell."""
    if module in sys.modules:
        loaded = sys.modules[module]
        return frozenset(dir(loaded)) | _beside(list(getattr(loaded, "__path__", ())))
    spec = importlib.util.find_spec(module)
    if spec is None or not (spec.origin or "").endswith(".py"):
        return None
    nodes = list(ast.walk(ast.parse(Path(spec.origin or "").read_bytes())))
    names = {getattr(node, field, None) or "" for node in nodes for field in ("id", "name", "asname")}
    if "*" in names or "__getattr__" in names:
        return None
    return frozenset(name.partition(".")[0] for name in names) | _beside(spec.submodule_search_locations or [])


def _beside(folders: list[str]) -> frozenset[str]:
    """Modules of a package."""
    return frozenset(path.stem for folder in folders for path in Path(folder).iterdir())
