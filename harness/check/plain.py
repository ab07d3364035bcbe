"""Other ways to write an attribute, an import or a name, put in the plain way, so that every rule reads them so."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from harness.check.resources import NEEDS, own_resource, readers
from harness.compat.literal_imports import importers, literal_import


class WithDefault(ast.Attribute):
    """An attribute that need not be there."""


def written_plainly(tree: ast.Module) -> None:
    """Changes a file's tree in place: ``getattr(time, "sleep")`` is ``time.sleep``, ``globals()["x"]`` is ``x``, and
    ``importlib.import_module("a.b")`` is ``a.b``, with ``import a.b`` at the file's end. A resource of the file's own
    package is a path made of ``__file__``."""
    plainly = _Plainly(importers(tree), readers(tree))
    plainly.visit(tree)
    tree.body += plainly.imports


class _Plainly(ast.NodeTransformer):
    def __init__(self, importers: frozenset[str], readers: Mapping[str, str]) -> None:
        self._importers, self._readers = importers, readers
        self.imports: list[ast.stmt] = []

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *default]):
                made = WithDefault if default else ast.Attribute
                return ast.copy_location(made(value, name, ast.Load()), node)
        if (resource := own_resource(node, self._readers)) is not None:
            self.imports.append(ast.fix_missing_locations(ast.copy_location(ast.Import([ast.alias(NEEDS)]), node)))
            return resource
        statement = literal_import(node, self._importers)
        return node if statement is None else self._imported(node, statement)

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

    def _imported(self, call: ast.Call, statement: ast.Import | ast.ImportFrom) -> ast.expr:
        self.imports.append(statement)
        expression = ast.parse(statement.names[0].name, mode="eval").body
        for part in ast.walk(expression):
            ast.copy_location(part, call)
        return expression
