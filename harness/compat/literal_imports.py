"""``importlib.import_module("a.b")`` with a literal name, which is an import like any other."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def importers(tree: ast.AST) -> frozenset[str]:
    """How a file may write ``importlib.import_module``."""
    return frozenset(_importers(tree))


def _importers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"{a.asname or a.name}.import_module" for a in node.names if a.name == "importlib")
        elif isinstance(node, ast.ImportFrom) and node.module == "importlib" and not node.level:
            yield from (a.asname or a.name for a in node.names if a.name == "import_module")


def literal_import(node: ast.AST, known_as: frozenset[str]) -> ast.Import | ast.ImportFrom | None:
    """The statement that imports what a call does; None for other calls, and where the name is not a literal."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(function) in known_as:
            return ast.fix_missing_locations(ast.copy_location(_statement(name), node)) if _is_dotted(name) else None
    return None


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.lstrip(".").split("."))


def _statement(name: str) -> ast.Import | ast.ImportFrom:
    dotted = name.lstrip(".")
    if dotted == name:
        return ast.Import([ast.alias(dotted)])
    base, _, last = dotted.rpartition(".")
    return ast.ImportFrom(base or None, [ast.alias(last)], len(name) - len(dotted))
