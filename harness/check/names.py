"""Names that hold something of a kind (the workload, a size), in the functions where they hold it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Pair = tuple[ast.AST, ast.expr]
"""What is bound (a name, an attribute, a parameter, a function by what it returns), and an expression it may hold."""


class Names:
    """Names by the function in which they are bound; attributes (``self.total``) and functions by themselves."""

    def __init__(self, scopes: Callable[[ast.AST], Iterator[ast.AST | None]], start: Iterable[str] = ()) -> None:
        """
        Args:
          scopes: the functions around a node, innermost first, and at the end None for the module.
          start: names that are of the kind everywhere.
        """
        self._scopes, self._start = scopes, frozenset(start)
        self._known: set[tuple[ast.AST | None, str]] = set()

    def __contains__(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Name | ast.Attribute):
            return False
        text = ast.unparse(node)
        if isinstance(node, ast.Attribute) or text in self._start:
            return text in self._start or (None, text) in self._known
        scope = next((s for s in self._scopes(node) if s is None or text in bound_in(s)), None)
        return (scope, text) in self._known

    def add(self, target: ast.AST) -> None:
        if isinstance(target, ast.FunctionDef):
            self._known.add((None, target.name))
        elif isinstance(target, ast.arg):
            self._known.add((next(self._scopes(target)), target.arg))
        else:
            scope = None if isinstance(target, ast.Attribute) else next(self._scopes(target))
            self._known.add((scope, ast.unparse(target)))

    def spread(self, pairs: Iterable[Pair], is_kind: Callable[[ast.AST, ast.expr], bool]) -> None:
        """Adds what is bound to something of the kind, until nothing more is."""
        pairs = list(pairs)
        before = -1
        while before < len(self._known):
            before = len(self._known)
            for target, value in pairs:
                if is_kind(target, value):
                    self.add(target)


@functools.lru_cache(maxsize=4096)
def bound_in(scope: ast.AST) -> frozenset[str]:
    """Names that a function takes or assigns; its inner functions' too."""
    stored = {n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(stored | {n.arg for n in ast.walk(scope) if isinstance(n, ast.arg)})


def arguments_of(scope: ast.AST) -> frozenset[str]:
    """The names of a function's arguments."""
    return (
        frozenset(node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg))
        if isinstance(scope, Scope)
        else frozenset()
    )


def bindings(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Names and attributes with what is assigned to them; loop variables with what is looped over."""
    for target, value in _assignments(tree):
        if isinstance(target, ast.Name | ast.Attribute):
            yield target, value


def _assignments(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((target, value) for target in targets)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                yield target, value
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield target, value
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                yield target, value


def parts(tree: ast.Module) -> Iterator[Pair]:
    """What takes a part of a value (``a, b = value``) or has one added to it (``total += x``, ``all.append(x)``)."""
    for target, value in _assignments(tree):
        if isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else [value] * len(target.elts)
            yield from zip(target.elts, values, strict=False)
    for node in ast.walk(tree):
        match node:
            case ast.AugAssign(target=ast.Name() | ast.Attribute() as target, value=value):
                yield target, value
            case ast.Call(
                func=ast.Attribute(value=ast.Name() | ast.Attribute() as target, attr="append" | "extend" | "add"),
                args=[value],
            ):
                yield target, value


def passed(tree: ast.Module) -> Iterator[Pair]:
    """Parameters of the file's own functions and classes with their defaults and what calls in the file give them."""
    for node in ast.walk(tree):
        if isinstance(node, Scope):
            yield from defaults(node)
    yield from given(tree, parameters(tree))


def given(tree: ast.Module, functions: Mapping[str, list[ast.arg]]) -> Iterator[Pair]:
    """Parameters of functions, by the names that a file has for these, with what calls in the file give them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            partial = called(node) == "partial" and node.args  # partial(function, workload)
            function, values = (node.args[0], node.args[1:]) if partial else (node.func, node.args)
            places = functions.get(ast.unparse(function), []) if isinstance(function, ast.Name | ast.Attribute) else []
            yield from zip(places, values, strict=False)
            by_name = {place.arg: place for place in places}
            yield from ((by_name[k.arg], k.value) for k in node.keywords if k.arg in by_name)


def parameters(tree: ast.Module) -> dict[str, list[ast.arg]]:
    """A file's functions with their parameters, and its classes with those of ``__init__``."""
    found = {node.name: _places(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            starts = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            found[node.name] = [argument for start in starts for argument in _places(start)[1:]]
    return found


def _places(function: Scope) -> list[ast.arg]:
    """A function's parameters, in the order of their places; those that have none at the end."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def defaults(function: Scope) -> Iterator[Pair]:
    """A function's parameters with their defaults, which last from call to call."""
    arguments = function.args
    placed = [*arguments.posonlyargs, *arguments.args]
    yield from zip(placed[len(placed) - len(arguments.defaults) :], arguments.defaults, strict=True)
    yield from ((a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None)


def returned(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, list[ast.expr]]]:
    """Functions with all that they return; none that also end without a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            values = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
            if values and all(values):
                yield node, [value for value in values if value is not None]


def called(call: ast.Call) -> str:
    """The last part of the name by which a function or method is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
