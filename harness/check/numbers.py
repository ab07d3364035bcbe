"""Numbers that are written in a file, as they stand or as arithmetic of constants (``64 * 64``, ``1 << 20``)."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_LARGEST_POWER, _LARGEST = 64, 1e30
"""What is above these is no size, and to work it out could take all memory."""

_CONVERSIONS = frozenset({"int", "float", "round"})


def number_of(expression: ast.AST) -> float | None:
    """What an expression of constants comes to; None for any other."""
    match expression:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined(ast.Sub(), 0, number_of(operand))
        case ast.Call(func=ast.Name(id=name), args=[given], keywords=[]) if name in _CONVERSIONS:
            return number_of(given)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(op, number_of(left), number_of(right))
    return None


def _combined(op: ast.operator, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or type(op) not in _ARITHMETIC:
        return None
    if isinstance(op, ast.Pow | ast.LShift) and not 0 <= right <= _LARGEST_POWER:
        return None
    try:
        value = _ARITHMETIC[type(op)](left, right)
    except (ArithmeticError, TypeError, ValueError):
        return None
    real = isinstance(value, int | float)  # a root of a negative number is complex
    return value if real and abs(value) < _LARGEST else None


def numbers_in(expressions: Iterable[ast.AST]) -> Iterator[float]:
    """Numbers in expressions, also in the texts of shapes; arithmetic of constants is one number."""
    for expression in expressions:
        value = number_of(expression)
        if value is not None:
            yield value
        elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            yield from map(int, re.findall(r"\d+", expression.value))
        else:
            yield from numbers_in(ast.iter_child_nodes(expression))
