"""Whether a file that is read lies beside the entry's source, also where a helper is given the path."""

from __future__ import annotations

import ast
import itertools

from harness.check.paths import paths_of
from harness.check.source import Source


def is_beside_the_source(source: Source, node: ast.AST) -> bool:
    """Reading a file of the entry's own folder, found by ``__file__``: it belongs to the entry's digest."""
    path = _path_of(source, node)
    return paths_of(source).is_own(path) or any(
        isinstance(n, ast.Name) and n.id in parameters and _is_given_own_paths(source, function, n.id)
        for function in source.ancestors(node)
        if isinstance(function, ast.FunctionDef)
        for parameters in [{a.arg for a in _parameters(function)}]
        for n in ast.walk(path)
    )


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _path_of(source: Source, node: ast.AST) -> ast.AST:
    """The path with which a function or method reaches a file; the whole expression where it is not called here."""
    call = source.parents.get(node)
    if isinstance(call, ast.Call) and call.func is node:
        path = source.dotted(node)
        if getattr(node, "attr", "") == "read" and call.args:  # parser.read(path)
            return call.args[0]
        if isinstance(node, ast.Attribute) and (path is None or source.is_own(path)):  # path.read_text()
            return call if node.attr in ("glob", "rglob") else node.value
        given = call.args[:1] or [keyword.value for keyword in call.keywords]
        if given:
            return given[0]
    whole = node
    for above in itertools.takewhile(lambda n: isinstance(n, ast.expr), source.ancestors(node)):
        whole = above
    return whole


def _is_given_own_paths(source: Source, function: ast.FunctionDef, name: str) -> bool:
    """Whether the entry's files do nothing with a function but call it with a path made from ``__file__`` in this
    place; a use that cannot be followed (an alias, ``map``, starred arguments) counts against it."""
    if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(function)):
        return False
    holder = source.parents.get(function)
    known_as = holder.name if isinstance(holder, ast.ClassDef) and function.name == "__init__" else function.name
    uses = [(each, node) for each in source.siblings for node in each.nodes if known_as in _called(node)]
    calls = [(each, node) for each, node in uses if isinstance(node, ast.Call)]
    default = any(map(paths_of(source).is_own, _default(function, name)))
    given = [(each, _argument(source, call, function, name)) for each, call in calls]
    return 0 < len(uses) == 2 * len(calls) and all(
        default if path is None else paths_of(each).is_own(path) for each, path in given
    )


def _called(node: ast.AST) -> tuple[str, ...]:
    """The names by which an expression, a call or a renaming import uses a function."""
    if isinstance(node, ast.Call):
        return _called(node.func)
    if isinstance(node, ast.alias):
        return (node.name,) if node.asname else ()
    return (getattr(node, "id", ""), getattr(node, "attr", ""))


_HIDDEN = ast.Constant(None)
"""Stands for an argument that stars hide."""


def _argument(source: Source, call: ast.Call, function: ast.FunctionDef, name: str) -> ast.expr | None:
    """What a call gives for one argument; None where that is left to its default."""
    if any(isinstance(given, ast.Starred) for given in call.args) or any(k.arg is None for k in call.keywords):
        return _HIDDEN
    method = isinstance(source.parents.get(function), ast.ClassDef)
    static = any("staticmethod" in ast.unparse(decorator) for decorator in function.decorator_list)
    places = [a.arg for a in (*function.args.posonlyargs, *function.args.args)][method and not static :]
    given = dict(zip(places, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    return given.get(name)


def _default(function: ast.FunctionDef, name: str) -> list[ast.expr]:
    arguments = function.args
    placed = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(placed) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    named = zip((a.arg for a in _parameters(function)), defaults, strict=True)
    return [default for parameter, default in named if parameter == name and default is not None]
