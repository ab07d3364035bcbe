"""The rule on callbacks of jax, by which a compiled step can tell the entry more than it returns."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from harness.check.findings import Hit, source_rule
from harness.check.names import Scope
from harness.check.rules_specialise import keeps
from harness.check.source import Source, matches, words

_CALLBACKS = words("""
    jax.debug.callback jax.pure_callback jax.experimental.pure_callback jax.experimental.io_callback
    jax.experimental.host_callback.*""")
_KEEPING = words("append appendleft add update setdefault extend insert put put_nowait __setitem__")


@source_rule(
    "callbacks",
    "error",
    "keeps nothing that a callback of jax takes out of a compiled function",
    "return it from the compiled function, and keep it in optimizer_state",
)
def callbacks(source: Source) -> Iterable[Hit]:
    for node, path in source.references:
        call = source.parents.get(node)
        if not matches(path, _CALLBACKS) or not isinstance(call, ast.Call) or call.func is not node:
            continue
        if call.args and _keeps_something(source, call.args[0]):
            yield node, f"{path} keeps something beside what the compiled function returns"


def _keeps_something(source: Source, callback: ast.expr) -> bool:
    match callback:
        case ast.Call(args=[inner, *_]) if source.dotted(callback.func) == "functools.partial":
            return _keeps_something(source, inner)
        case ast.Attribute(attr=name) if name in _KEEPING:
            return True
    return any(_stores(function, node) for function in _own(source, callback) for node in ast.walk(function))


def _own(source: Source, callback: ast.expr) -> Iterator[Scope]:
    """The entry's functions that a callback may mean: the lambda itself, and functions and methods of its name."""
    if isinstance(callback, ast.Lambda):
        yield callback
    elif isinstance(callback, ast.Name | ast.Attribute):
        name = callback.id if isinstance(callback, ast.Name) else callback.attr
        for each in source.siblings:
            yield from each.functions.get(name, ())


def _stores(function: Scope, node: ast.AST) -> bool:
    of_self = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    return of_self or keeps(function, node)
