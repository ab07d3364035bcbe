"""Hyperparameters that a file reads from what the harness gives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from harness.check.names import Names, Pair, bindings, bound_in, passed
from harness.check.plain import WithDefault
from harness.check.source import Source


def hyperparameters_read(source: Source) -> Iterator[tuple[ast.expr, str]]:
    """Plain reads with the names that they read; one in a ``try`` may fail."""
    given = _Given(source)
    for node in source.nodes:
        name = _read_by(given, node)
        if name and not any(isinstance(above, ast.Try) for above in source.ancestors(node)):
            assert isinstance(node, ast.expr)
            yield node, name


def _read_by(given: _Given, node: ast.AST) -> str:
    match node:
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if not isinstance(node, WithDefault):
            return name if value in given else ""
    return ""


Place = tuple[ast.AST | None, str]
"""A name in the function that binds it."""
Position = tuple[int, int]


class _Given:
    """Names that hold the hyperparameters as the harness gives them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pairs: list[Pair] = [*bindings(source.tree), *passed(source.tree)]
        self._names, self._others = Names(source.scopes, {"hyperparameters"}), dict[Place, Position]()
        before = -1
        while before < len(self._others):  # what holds another object passes that on
            before = len(self._others)
            self._names = Names(source.scopes, {"hyperparameters"})
            self._names.spread(self._pairs, lambda _, value: value in self)
            self._others = dict(sorted(self._holding_others(), key=lambda found: found[1], reverse=True))

    def __contains__(self, node: ast.AST) -> bool:
        """Whether a node is such a name, and was given nothing else above it (``hyperparameters = Config(...)``)."""
        if node not in self._names:
            return False
        here = node.lineno, node.col_offset  # type: ignore[attr-defined]
        return not isinstance(node, ast.Name) or here <= self._others.get(self._place(node), here)

    def _holding_others(self) -> Iterator[tuple[Place, Position]]:
        """Names that are given another object, with the place up to which they hold hyperparameters."""
        for target, value in self._pairs:
            if isinstance(target, ast.Name) and value not in self:
                yield self._place(target), (value.end_lineno or 0, value.end_col_offset or 0)
            elif isinstance(target, ast.arg) and value not in self and not isinstance(value, ast.Constant):
                yield self._place(target), (0, 0)

    def _place(self, node: ast.Name | ast.arg) -> Place:
        name = node.arg if isinstance(node, ast.arg) else node.id
        return next((s for s in self._source.scopes(node) if s is None or name in bound_in(s)), None), name
