"""An entry's files, and the names by which they import each other.

AlgoPerf runs an entry from the root of a repository that the entry was copied into, so its files are imported under
names such as ``submissions.team.external_tuning.mine.optimizers.shampoo``, ``optimizers.shampoo`` or ``.shampoo``, at
times several of these in one entry. Here every file has one canonical name, a member of the package ``PACKAGE``; any
other name that ends in the file's path means the same module.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import sys
from pathlib import Path

PACKAGE = "timetrial_entry"
"""The package whose members an entry's files are."""

REPOSITORY_ROOTS = frozenset(
    {
        "submissions",
        "submissions_algorithms",
        "algorithms",
        "reference_algorithms",
        "baselines",
        "algorithmic_efficiency",
    }
)
"""First parts of dotted names that stand for a repository into which entries are copied."""

_ANCESTORS = 6
"""How many folders above an entry may hold modules that it names by a longer path."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of one entry.

    Attributes:
      main: the file with AlgoPerf's functions.
      root: the folder of the package: the file's own, or one above it where relative imports reach up.
    """

    main: Path
    root: Path

    @classmethod
    def of(cls, main: Path, tree: ast.Module) -> Layout:
        levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        root = main.parent
        for _ in range(max(levels, default=1) - 1):
            root = root.parent
        return cls(main, root)

    def canonical_name(self, path: Path) -> str | None:
        """``PACKAGE.a.b`` for ``root/a/b.py``; None for a file outside the root."""
        if not path.is_relative_to(self.root):
            return None
        parts = list(path.relative_to(self.root).parts)
        if path.suffix == ".py":
            parts[-1] = path.stem
        return ".".join([PACKAGE, *(parts[:-1] if parts[-1:] == ["__init__"] else parts)])

    def owns_top_level(self, name: str) -> bool:
        """Whether a bare ``import name`` means a file or folder beside the main file."""
        if name in sys.stdlib_module_names:
            return False
        return module_at(self.main.parent, (name,)) is not None

    def find(self, dotted: str) -> Path | None:
        """The file or folder that a dotted name means, by the longest end of it that exists; None where there is none.

        Looks in the root, then in any folder below it, then, for ends of two parts or more, in the folders above.
        """
        parts = tuple(dotted.split("."))
        if any(not part.isidentifier() for part in parts):
            return None
        for start in range(len(parts)):
            end = parts[start:]
            if start and len(end) == 1 and not self._is_ours(parts):
                break
            found = self._find_end(end)
            if found is not None:
                return found
        return self.root if len(parts) > 1 and parts[-1] == self.root.name else None

    def is_prefix(self, dotted: str, names: frozenset[str]) -> bool:
        """Whether a name is the beginning of one of ``names`` that means a file of the entry."""
        return any(name.startswith(f"{dotted}.") and self.find(name) is not None for name in names)

    def _is_ours(self, parts: tuple[str, ...]) -> bool:
        """Whether a dotted name is a path into a repository that holds the entry, not another package's."""
        return parts[0] in REPOSITORY_ROOTS or self.root.name in parts[:-1]

    def _find_end(self, end: tuple[str, ...]) -> Path | None:
        folders = [self.root, *_folders(self.root)]
        if len(end) > 1:
            folders += list(self.root.parents)[:_ANCESTORS]
        return next((found for folder in folders if (found := module_at(folder, end)) is not None), None)


@functools.lru_cache(maxsize=64)
def _folders(root: Path) -> tuple[Path, ...]:
    """Folders below one that can hold modules, nearest first."""
    found = {path.parent for path in root.rglob("*.py")} - {root}
    between = {parent for path in found for parent in path.parents if parent != root and root in parent.parents}
    return tuple(sorted(found | between, key=lambda path: (len(path.parts), path)))


def module_at(folder: Path, parts: tuple[str, ...]) -> Path | None:
    """The module file, the ``__init__.py`` or the folder with Python files that a relative dotted name means."""
    base = folder.joinpath(*parts)
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file():
            return path
    return base if base.is_dir() and next(base.rglob("*.py"), None) is not None else None
