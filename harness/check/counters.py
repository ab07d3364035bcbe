"""What moves while an entry trains: the step, and what it counts itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from harness.check.names import Names, Scope, bindings
from harness.check.numbers import number_of
from harness.check.source import Source, words

_TIME = words("global_step step epoch")


def counters(source: Source) -> Callable[[ast.AST], bool]:
    """Whether an expression is the step, or a name or a slot (``state["n"]``, ``self.n``) that a number is added to."""
    names = Names(source.scopes, _TIME)
    held = [(target, slot) for target, value in bindings(source.tree) if (slot := _slot(value))]
    increased = list(_increased(source, held))
    slots = {slot for target in increased if (slot := _slot(target))}
    kept = [target for target, slot in held if slot in slots]
    once = [target for target in increased if not _is_in_a_loop(source, target)]  # a loop may count the model's parts
    for target in (*kept, *once):
        if isinstance(target, ast.Name):
            names.add(target)
    return lambda node: node in names or _slot(node) in slots


def _increased(source: Source, held: list[tuple[ast.expr, str]]) -> Iterator[ast.AST]:
    """``n += 1``, ``n = n + 1``, ``state["n"] = n + 1`` where ``n`` holds what was there."""
    for node in source.nodes:
        match node:
            case ast.AugAssign(target=target, op=ast.Add(), value=added) if number_of(added) is not None:
                yield target
            case ast.Assign(targets=[target], value=ast.BinOp(left=before, op=ast.Add(), right=added)):
                if number_of(added) is not None and _is_held_in(before, target, held):
                    yield target


def _is_held_in(before: ast.expr, target: ast.expr, held: list[tuple[ast.expr, str]]) -> bool:
    if ast.unparse(before) == ast.unparse(target) or (_slot(target) and _slot(before) == _slot(target)):
        return True
    return any(ast.unparse(name) == ast.unparse(before) and slot == _slot(target) for name, slot in held)


def _slot(node: ast.AST) -> str:
    """``self.n`` and ``state['n']``, however it is read; empty for anything else."""
    match node:
        case ast.Attribute():
            return ast.unparse(node)
        case (
            ast.Subscript(value=holder, slice=ast.Constant(value=key))
            | ast.Call(func=ast.Attribute(value=holder, attr="get" | "setdefault"), args=[ast.Constant(value=key), *_])
        ):
            return f"{ast.unparse(holder)}[{key!r}]"
    return ""


def _is_in_a_loop(source: Source, node: ast.AST) -> bool:
    for above in source.ancestors(node):
        if isinstance(above, Scope):
            return False
        if isinstance(above, ast.For | ast.While):
            return True
    return False
