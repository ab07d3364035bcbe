"""Parses an entry's files: the main file and what it imports of its own, in the order of import."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from harness.compat.installed import is_foreign
from harness.compat.layout import Layout, module_at
from harness.compat.literal_imports import importers, literal_import
from harness.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
      file, line: where.
      module: the absolute dotted name; empty for a relative import.
      level: leading dots of a relative import.
      names: what ``from module import ...`` takes of it; empty for ``import module``.
      optional: the import may fail: it stands in a ``try``, in a function or under ``if TYPE_CHECKING``.
      unused: what it binds is never read in the file, nor can other files take it from there.
    """

    file: Path
    line: int
    module: str
    level: int
    names: tuple[str, ...]
    optional: bool
    unused: bool

    @property
    def top_level(self) -> str:
        return self.module.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Sources:
    """The parsed files of an entry; the first one is its main file."""

    layout: Layout
    trees: dict[Path, ast.Module]

    @functools.cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(found for path, tree in self.trees.items() for found in imports_of(path, tree, self.layout))

    @functools.cached_property
    def dotted_names(self) -> frozenset[str]:
        """Absolute names of everything that is imported, with ``from a import b`` as ``a`` and ``a.b``."""
        return frozenset(name for found in self.imports for name in _dotted(found))

    def imports_top_level(self, name: str) -> bool:
        return any(found.top_level == name for found in self.imports)

    def walk(self) -> Iterator[ast.AST]:
        for tree in self.trees.values():
            yield from ast.walk(tree)


def parse(path: Path) -> ast.Module:
    """
    Raises:
      UsageError: the file is not Python; file and line are named.
    """
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: not Python: {error.msg}; mend the file") from None
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: cannot be read as Python: {error}; mend or restore the file") from None


def read_sources(main: Path) -> Sources:
    """The main file and all files of its own that it imports, directly or through others.

    Raises:
      UsageError: one of them is not Python.
    """
    tree = parse(main)
    layout = Layout.of(main, tree)
    trees: dict[Path, ast.Module] = {}
    waiting = [main]
    while waiting:
        path = waiting.pop(0)
        if path in trees:
            continue
        trees[path] = tree if path == main else parse(path)
        for found in imports_of(path, trees[path], layout):
            waiting += _own_files(layout, found)
    return Sources(layout, trees)


def source_digest(sources: Sources) -> list[tuple[str, str]]:
    """Relative path and content digest of every file, in a fixed order."""
    root = sources.layout.root
    pairs = [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sources.trees]
    return sorted(
        (str(path.relative_to(root)) if path.is_relative_to(root) else path.name, hashed) for path, hashed in pairs
    )


def imports_of(path: Path, tree: ast.Module, layout: Layout) -> Iterator[Import]:
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    exported = path.name == "__init__.py"
    optional = _optional_nodes(tree)
    known_as = importers(tree)
    for node in ast.walk(tree):
        called = literal_import(node, known_as)
        statement = called or node
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                bound = alias.asname or alias.name.partition(".")[0]
                unused = called is None and bound not in read and not exported
                yield Import(path, statement.lineno, alias.name, 0, (), node in optional, unused)
        elif isinstance(statement, ast.ImportFrom):
            names = tuple(alias.name for alias in statement.names)
            bound_names = {alias.asname or alias.name for alias in statement.names}
            unused = called is None and path == layout.main and not bound_names & (read | {"*"})
            yield Import(
                path, statement.lineno, statement.module or "", statement.level, names, node in optional, unused
            )


def _optional_nodes(tree: ast.Module) -> set[ast.AST]:
    containers = (ast.Try, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, containers) or (isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test))
        for inner in ast.walk(outer)
        if isinstance(inner, ast.Import | ast.ImportFrom | ast.Call)
    }


def _dotted(found: Import) -> list[str]:
    if found.level:
        return []
    return [found.module, *(f"{found.module}.{name}" for name in found.names if name != "*")]


def _own_files(layout: Layout, found: Import) -> list[Path]:
    """The entry's files that one import statement means."""
    ends = ["", *(f".{name}" for name in found.names if name != "*")]
    paths = [own_file(layout, found.file, found.level, f"{found.module}{end}".lstrip(".")) for end in ends]
    return [path for path in paths if path is not None]


def own_file(layout: Layout, file: Path, level: int, dotted: str) -> Path | None:
    """The entry's file that an import in one of its files means; None for other code, and for a folder."""
    top_level = dotted.partition(".")[0]
    if level:
        path = module_at(file.parents[level - 1], tuple(filter(None, dotted.split("."))))
    elif layout.owns_top_level(top_level) or not is_foreign(top_level):
        path = layout.find(dotted)
    else:
        return None
    return path if path is not None and path.is_file() else None


def place_in(entry: Path, error: BaseException) -> str:
    """File, line and function of an entry in code where an exception left it; empty where none is in the traceback."""
    if entry.suffix != ".py":
        return ""
    try:
        own = {str(path.resolve()) for path in read_sources(entry).trees}
    except (UsageError, OSError):  # changed since the launch read it
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if str(Path(frame.filename).resolve()) in own:
            return f" ({Path(frame.filename).name}:{frame.lineno}, in {frame.name})"
    return ""
