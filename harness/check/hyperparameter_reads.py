"""Hyperparameters that a file reads from what the harness gives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from harness.check.names import Names, Pair, bindings, bound_in, passed
from harness.check.plain import WithDefault
from harness.check.source import Source


class Read(NamedTuple):
    """A read in the source, the name that it reads, and the texts in the source by which it names that."""

    node: ast.expr
    name: str
    texts: tuple[ast.Constant, ...] = ()


def hyperparameters_read(source: Source) -> list[Read]:
    """Plain reads; one in a ``try`` may fail."""
    given = _Given(source)
    found = [read for node in source.nodes for read in _read_by(source, given, node)]
    return [read for read in found if not any(isinstance(above, ast.Try) for above in source.ancestors(read.node))]


def _read_by(source: Source, given: _Given, node: ast.AST) -> Iterator[Read]:
    match node:
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if not isinstance(node, WithDefault):
            if value in given:
                yield Read(node, name)
        case ast.Subscript(value=held, slice=ast.Constant(value=str(name)) as text, ctx=ast.Load()):
            if _is_their_dict(source, given, held):
                yield Read(node, name, (text,))
        case ast.Call(func=getter, args=[value]) if value in given:
            texts = tuple(_gets(source, getter))
            yield from (Read(node, str(text.value), texts) for text in texts)


def _is_their_dict(source: Source, given: _Given, held: ast.expr) -> bool:
    """``hyperparameters._asdict()``, or a name that holds nothing else."""
    made = (held,) if isinstance(held, ast.Call) else source.values_of.get(ast.unparse(held), ())
    return bool(made) and all(_asks_for_a_dict(given, each) for each in made)


def _asks_for_a_dict(given: _Given, node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="_asdict")):
            return value in given
    return False


def _gets(source: Source, getter: ast.expr) -> Iterator[ast.Constant]:
    """The names that an ``operator.attrgetter`` gets."""
    for made in (getter, *source.values_of.get(ast.unparse(getter), ())):
        if isinstance(made, ast.Call) and source.dotted(made.func) == "operator.attrgetter":
            yield from (n for n in made.args if isinstance(n, ast.Constant) and isinstance(n.value, str))


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
