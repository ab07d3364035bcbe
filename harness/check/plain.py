"""Other ways to write an attribute, an import or a name, put in the plain way, so that every rule reads them so."""

from __future__ import annotations

import ast
from collections.abc import Iterator


class WithDefault(ast.Attribute):
    """An attribute that need not be there."""


def written_plainly(tree: ast.Module) -> None:
    """Changes a file's tree in place: ``getattr(time, "sleep")`` is ``time.sleep``, ``globals()["x"]`` is ``x``, and
    ``importlib.import_module("a.b")`` is ``a.b``, with ``import a.b`` at the file's end."""
    plainly = _Plainly(frozenset(_importers(tree)))
    plainly.visit(tree)
    tree.body += plainly.imports


def _importers(tree: ast.Module) -> Iterator[str]:
    """How the file may write ``importlib.import_module``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"{a.asname or a.name}.import_module" for a in node.names if a.name == "importlib")
        elif isinstance(node, ast.ImportFrom) and node.module == "importlib" and not node.level:
            yield from (a.asname or a.name for a in node.names if a.name == "import_module")


class _Plainly(ast.NodeTransformer):
    def __init__(self, importers: frozenset[str]) -> None:
        self._importers = importers
        self.imports: list[ast.stmt] = []

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *default]):
                made = WithDefault if default else ast.Attribute
                return ast.copy_location(made(value, name, ast.Load()), node)
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if self._imports(function, name):
                return self._imported(node, name)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Subscript(
                value=ast.Call(func=ast.Name(id="globals"), args=[]),
                slice=ast.Constant(value=str(name)),
                ctx=ast.Load(),
            ) if name.isidentifier() and not name.startswith("__"):
                return ast.copy_location(ast.Name(name, ast.Load()), node)
        return node

    def _imports(self, function: ast.expr, name: str) -> bool:
        parts = name.lstrip(".").split(".")
        return ast.unparse(function) in self._importers and all(part.isidentifier() for part in parts)

    def _imported(self, call: ast.Call, name: str) -> ast.expr:
        dotted = name.lstrip(".")
        level = len(name) - len(dotted)
        statement: ast.stmt = ast.Import([ast.alias(dotted)])
        if level:
            base, _, dotted = dotted.rpartition(".")
            statement = ast.ImportFrom(base or None, [ast.alias(dotted)], level)
        self.imports.append(ast.fix_missing_locations(ast.copy_location(statement, call)))
        expression = ast.parse(dotted, mode="eval").body
        for part in ast.walk(expression):
            ast.copy_location(part, call)
        return expression
