"""Packages that an entry can do without: imports that may fail, and questions whether a package is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from harness.check.source import Source

_ABSENCE = ("ImportError", "ModuleNotFoundError", "Exception")


def excuses_absence(node: ast.AST) -> TypeGuard[ast.Try | ast.If]:
    """``try: import x`` with ``except ImportError``, ``if TYPE_CHECKING:``."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.Try) and any(map(_expects_absence, node.handlers))


def _expects_absence(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or any(name in ast.unparse(handler.type) for name in _ABSENCE)


def is_guarded(source: Source, node: ast.AST) -> bool:
    """Whether an import may fail."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    below = node
    for above in source.ancestors(node):
        if excuses_absence(above) and below in above.body:
            return True
        below = above  # type: ignore[assignment]
    return False


def uses_guarded(source: Source, used: ast.AST) -> bool:
    """Whether a name was imported where the import may fail; such an import alone is no use of it."""
    while isinstance(used, ast.Attribute):
        used = used.value
    return isinstance(used, ast.Name) and used.id in {
        name for node in source.nodes if is_guarded(source, node) for name in _bound(node)
    }


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def is_asked_for(source: Source, node: ast.AST) -> bool:
    """Whether an expression is only asked whether it is there: ``wandb is not None``, ``if wandb:``."""
    parent = source.parents.get(node)
    match parent:
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return left is node
        case ast.If(test=test) | ast.IfExp(test=test):
            return test is node
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Call(func=ast.Name(id="bool"), args=[_]):
            return True
        case ast.BoolOp(op=op, values=values):
            return (isinstance(op, ast.And) and node is not values[-1]) or is_asked_for(source, parent)
    return False
