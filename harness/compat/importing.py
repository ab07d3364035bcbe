"""Import hooks while an entry is active: ``algoperf``, the entry's own files under any of their names, empty packages.

One file is one module object: a name other than the canonical one is answered with the canonical module, so that
classes compared by identity stay the same however they were imported.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from pathlib import Path
from types import ModuleType

from harness.compat.conventions import Conventions
from harness.compat.installed import ALGOPERF_NAMES
from harness.compat.layout import PACKAGE, Layout
from harness.compat.rewriting import RewritingLoader

_OURS = "harness.compat.algoperf"
_ROOMS = ("harness", "results", "scoring", "submissions", "workloads")
Path_ = Sequence[str] | None


class _Alias(Loader):
    """Answers a name with the module of another name."""

    def __init__(self, canonical: str) -> None:
        self._canonical = canonical

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self._canonical)


class _Empty(Loader):
    """An empty module, which may have members that are empty modules too."""

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []

        def member(name: str) -> None:
            if name.startswith("__"):
                raise AttributeError(name)

        module.__dict__["__getattr__"] = member


class _Namespace(Loader):
    """The beginning of a dotted name that ends in one of the entry's files."""

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


class _Finder(MetaPathFinder):
    serves_an_entry = True

    def __init__(self, layout: Layout, conventions: Conventions, device: str, outside: set[str]) -> None:
        self._layout, self._conventions, self._device = layout, conventions, device
        self._outside = outside
        """Folders outside the root that were imported as packages, shared by the finders of one entry."""

    def _alias(self, name: str, path: Path) -> importlib.machinery.ModuleSpec | None:
        canonical = self._layout.canonical_name(path)
        if canonical is not None:
            return importlib.machinery.ModuleSpec(name, _Alias(canonical)) if canonical != name else None
        if path.name == "__init__.py" or path.is_dir():
            self._outside.add(str(path.parent if path.is_file() else path))
        if path.is_dir():
            return _namespace(name, path)
        loader = RewritingLoader(name, str(path), self._device)
        return importlib.util.spec_from_file_location(name, path, loader=loader)


class EntryFirst(_Finder):
    """Asked before every other finder: names that belong to AlgoPerf or to the entry, whatever else is installed."""

    def find_spec(
        self, fullname: str, path: Path_, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top_level = fullname.partition(".")[0]
        if top_level == PACKAGE:
            return self._canonical(fullname, path)
        if top_level in ALGOPERF_NAMES and not self._conventions.real_algoperf:
            return _algoperf(fullname)
        if top_level in self._conventions.empty_modules:
            return importlib.machinery.ModuleSpec(fullname, _Empty(), is_package=True)
        mine = self._layout.owns_top_level(fullname) if path is None else self._is_inside(path)
        found = self._layout.find(fullname) if mine else None
        return self._alias(fullname, found) if found else None

    def _is_inside(self, path: Sequence[str]) -> bool:
        return any(folder in self._outside or Path(folder).is_relative_to(self._layout.root) for folder in path)

    def _canonical(self, fullname: str, path: Path_) -> importlib.machinery.ModuleSpec | None:
        if fullname == PACKAGE:
            return self._package()
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader) and spec.origin:
            spec.loader = RewritingLoader(fullname, spec.origin, self._device)
        return spec

    def _package(self) -> importlib.machinery.ModuleSpec:
        root = self._layout.root
        init = root / "__init__.py"
        if not init.is_file():
            return _namespace(PACKAGE, root)
        loader = RewritingLoader(PACKAGE, str(init), self._device)
        found = importlib.util.spec_from_file_location(
            PACKAGE, init, loader=loader, submodule_search_locations=[str(root)]
        )
        assert found is not None
        return found


class EntryLast(_Finder):
    """Asked when no other finder knows a name: paths into a repository that the entry was written for."""

    def find_spec(
        self, fullname: str, path: Path_, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in (PACKAGE, *ALGOPERF_NAMES):
            return None
        found = self._layout.find(fullname)
        if found is not None:
            return self._alias(fullname, found)
        if self._layout.is_prefix(fullname, self._conventions.dotted_names):
            return importlib.machinery.ModuleSpec(fullname, _Namespace(), is_package=True)
        return None


def _algoperf(fullname: str) -> importlib.machinery.ModuleSpec:
    """
    Raises:
      ModuleNotFoundError: timetrial has no such module of AlgoPerf's.
    """
    ours = _OURS + fullname[len(fullname.partition(".")[0]) :]
    if importlib.util.find_spec(ours) is None:
        have = ", ".join(sorted(path.stem for path in Path(__file__).with_name("algoperf").glob("[a-z]*.py")))
        raise ModuleNotFoundError(
            f"timetrial has no {fullname}; of AlgoPerf's modules it has {have}. Where the real package is installed, "
            "write `timetrial: {algoperf: real}` in submission_info.yml",
            name=fullname,
        )
    return importlib.machinery.ModuleSpec(fullname, _Alias(ours))


def _namespace(name: str, folder: Path) -> importlib.machinery.ModuleSpec:
    spec = importlib.machinery.ModuleSpec(name, _Folder(str(folder)), is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


class _Folder(Loader):
    """A folder without ``__init__.py``."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = [self._folder]


@contextlib.contextmanager
def shadowed_rooms(layout: Layout) -> Iterator[None]:
    """While an entry is imported, its own ``results.py`` (say) goes before timetrial's package of that name."""
    shadowed = [room for room in _ROOMS if layout.owns_top_level(room)]
    hidden = {
        name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] in shadowed and shadowed
    }
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in shadowed]:
            del sys.modules[name]
        sys.modules.update(hidden)
