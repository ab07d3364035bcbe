"""Puts in place what an entry needs, loads it, and takes everything away again."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.compat import one_process, removed_names
from harness.compat.conventions import Conventions
from harness.compat.dependencies import pip_command, read_requirements
from harness.compat.importing import EntryFirst, EntryLast, shadowed_rooms
from harness.compat.installed import ALGOPERF_NAMES
from harness.compat.layout import PACKAGE, Layout
from harness.compat.patching import Patches
from harness.spec import Framework


class EntryImportError(Exception):
    """An entry cannot be imported; says what is missing, where, and the pip command."""


@dataclasses.dataclass
class _Active:
    framework: Framework
    patches: Patches


_active: _Active | None = None


def active_framework() -> Framework | None:
    """The framework of the entry that runs in this process; None where there is none."""
    return _active.framework if _active else None


def close() -> None:
    """Takes away what :func:`activate` put in place; does nothing where no entry is active."""
    global _active
    if _active is not None:
        active, _active = _active, None
        active.patches.close()


def activate(conventions: Conventions, framework: Framework) -> None:
    """Makes this process the entry's, until :func:`close` or the next entry: imports, dropped names, one process."""
    global _active
    close()
    assert conventions.main is not None and conventions.root is not None
    layout = Layout(conventions.main, conventions.root)
    patches = Patches()
    try:
        modules = set(sys.modules)
        patches.callback(_forget, modules)
        shared = (layout, conventions, _device(framework), set[str]())
        first, last = EntryFirst(*shared), EntryLast(*shared)
        sys.meta_path.insert(0, first)
        patches.callback(sys.meta_path.remove, first)
        sys.meta_path.append(last)
        patches.callback(sys.meta_path.remove, last)
        importlib.invalidate_caches()
        removed_names.restore(patches, conventions.uses | ({"jax"} if framework == "jax" else set()))
        if framework == "torch":
            one_process.install(patches, conventions.process_group)
        if conventions.real_algoperf:
            _adopt_real_algoperf()
    except BaseException:
        patches.close()
        raise
    _active = _Active(framework, patches)


def load_module(
    conventions: Conventions, framework: Framework, ready: Callable[[], object] = lambda: None
) -> ModuleType:
    """Activates an entry, calls ``ready``, and imports its main file.

    Raises:
      EntryImportError: something that it imports is not there.
    """
    activate(conventions, framework)
    ready()
    assert conventions.main is not None and conventions.root is not None
    layout = Layout(conventions.main, conventions.root)
    name = layout.canonical_name(conventions.main)
    assert name is not None
    try:
        with shadowed_rooms(layout):
            module = importlib.import_module(name)
    except ImportError as error:
        raise EntryImportError(_explain(error, conventions.main)) from error
    if framework == "jax" and conventions.jax_era == "jit" and conventions.shardings:
        _place_state(module)
    return module


def _place_state(module: ModuleType) -> None:
    from harness.compat.jit_backend import placing

    names = vars(module)
    if "init_optimizer_state" in names:
        names["init_optimizer_state"] = placing(names["init_optimizer_state"])


def _device(framework: Framework) -> str:
    if framework == "torch":
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda"


def _forget(known: set[str]) -> None:
    """Drops the entry's modules under all their names; frameworks that it was the first to import stay."""
    entry_modules = {id(module) for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE}
    for name in set(sys.modules) - known:
        module = sys.modules[name]
        ours = name.partition(".")[0] in (PACKAGE, *ALGOPERF_NAMES) or id(module) in entry_modules
        if ours or _is_stand_in(module):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent in known and sys.modules.get(parent) is not None:
                with contextlib.suppress(AttributeError):
                    delattr(sys.modules[parent], child)


def _is_stand_in(module: Any) -> bool:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return type(loader).__module__.startswith("harness.compat.")


def _explain(error: ImportError, main: Path) -> str:
    """Which file and line of the entry asked for what, and the pip command for a package that is not there."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(main.parent)]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(main)
    missing = error.name or ""
    if not isinstance(error, ModuleNotFoundError) or missing.startswith(("harness.", *ALGOPERF_NAMES)):
        return f"{where}: {str(error).replace('harness.compat.algoperf', 'algoperf')}"
    command = pip_command(missing.partition(".")[0], read_requirements(main.parent))
    return f"{where}: needs {missing}, which is not installed; run: {command}"


def _adopt_real_algoperf() -> None:
    """Gives the installed package timetrial's enums and errors, which are compared by identity.

    Raises:
      EntryImportError: it is not installed.
    """
    from harness import interface

    try:
        real: Any = importlib.import_module("algoperf.spec")
    except ImportError as error:
        raise EntryImportError(
            "submission_info.yml asks for the real algoperf, which cannot be imported "
            f"({error}); run: pip install git+https://github.com/mlcommons/algorithmic-efficiency.git, "
            "or leave `timetrial: {algoperf: real}` out"
        ) from error
    for name in ("LossType", "ForwardPassMode", "ParameterType", "ShapeTuple", "TrainingCompleteError"):
        setattr(real, name, getattr(interface, name))
