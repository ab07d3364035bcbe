"""Texts that tell a workload or its model (a metric's name, a class's name), and where they decide something."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from harness.check.names import Names, bindings, called, parts, passed
from harness.check.source import Source, words

_STAYS_A_TEXT = words(
    "lower upper casefold strip lstrip rstrip removeprefix removesuffix split rsplit partition replace"
)
ASKS = words("startswith endswith find rfind index count __eq__ __ne__ __contains__ match fullmatch search fnmatch eq")
"""Functions and methods that compare one text with another."""

LOOKUPS = words("get pop setdefault")

OF_A_CLASS = words("__name__ __qualname__ __module__ __doc__")
_MODELS = frozenset({"current_param_container", "model_params", "params", "model"})
_WRAPPERS = "Parallel"
"""What is in the name of every class of torch that wraps a model."""


class Texts:
    """Texts of one kind in a file: expressions that ``begins`` knows, and what is made from them."""

    def __init__(self, source: Source, begins: Callable[[ast.AST], bool]) -> None:
        self.source, self._begins = source, begins
        self._names = Names(source.scopes)
        pairs = [*bindings(source.tree), *parts(source.tree), *passed(source.tree)]
        self._names.spread(pairs, lambda _, value: self._tells(value))

    def _tells(self, node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _STAYS_A_TEXT:
                return self._tells(value)
            case ast.Subscript(value=value) | ast.FormattedValue(value=value):
                return self._begins(node) or self._tells(value)
            case ast.SetComp(elt=value) | ast.ListComp(elt=value) | ast.GeneratorExp(elt=value):
                return self._tells(value)
            case ast.JoinedStr(values=values):
                return any(map(self._tells, values))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._tells(left) or self._tells(right)
        return node in self._names or self._begins(node)

    def decisions(self) -> Iterator[tuple[ast.AST, str]]:
        """Where such a text is compared with constant ones, or looked up among them, with one of these."""
        for node in self.source.nodes:
            asked, known = self._question(node)
            texts = [text for value in known for text in self._constant_texts(value) if _WRAPPERS not in text]
            if texts and any(map(self._tells, asked)):
                yield node, repr(texts[0])

    def _question(self, node: ast.AST) -> tuple[list[ast.expr], list[ast.expr]]:
        """Expressions of which one may tell, and what they are compared with."""
        match node:
            case ast.Compare(left=left, comparators=others):
                return [left, *others], [left, *others]
            case ast.Match(subject=subject, cases=cases):
                patterns = [n for case in cases for n in ast.walk(case.pattern) if isinstance(n, ast.MatchValue)]
                return [subject], [pattern.value for pattern in patterns]
            case ast.Subscript(value=table, slice=key) if not isinstance(table, ast.Constant):
                return [key], self._tables(table)
            case ast.Call(func=ast.Attribute(value=table, attr=attr), args=[key, *_]) if attr in LOOKUPS:
                return [key], self._tables(table)
            case ast.Call(func=function, args=args) if called(node) in ASKS:
                sides = [*args, *([function.value] if isinstance(function, ast.Attribute) else [])]
                return sides, sides
        return [], []

    def _tables(self, table: ast.expr) -> list[ast.expr]:
        """Keys of a dictionary that is written out."""
        values = [table] if isinstance(table, ast.Dict) else self.source.constant_values(table)
        return [key for value in values if isinstance(value, ast.Dict) for key in value.keys if key is not None]

    def _constant_texts(self, expression: ast.expr) -> Iterator[str]:
        for value in self.source.constant_values(expression):
            yield from (n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def texts_of_the_workload(source: Source) -> Texts:
    """The name of the metric by which the workload is judged: a key of ``eval_results``, and no more."""
    return Texts(
        source,
        lambda node: (
            isinstance(node, ast.Attribute) and node.attr == "target_metric_name" and source.is_workload(node.value)
        ),
    )


def texts_of_the_model(source: Source) -> Texts:
    """Names of the model's class, and its description."""
    models = Names(source.scopes, _MODELS)
    pairs = [(target, value) for target, value in bindings(source.tree) if _is_assigned(source, target)]
    models.spread([*pairs, *passed(source.tree)], lambda _, value: value in models or _is_unwrapped(value, models))

    def begins(node: ast.AST) -> bool:
        match node:
            case ast.Attribute(value=value, attr=attr) if attr in OF_A_CLASS:
                return _is_class(value, models)
            case (
                ast.Call(func=ast.Name(id="str" | "repr" | "format"), args=[value, *_])
                | ast.FormattedValue(value=value)
            ):
                return value in models or _is_class(value, models)
        return False

    return Texts(source, begins)


def texts_of_the_layers(source: Source) -> Texts:
    """Names of the model's parameters and modules, as loops over them give them."""
    names = Names(source.scopes)
    for node in source.nodes:
        match node:
            case (
                ast.For(target=ast.Tuple(elts=[name, *_]), iter=ast.Call() as items)
                | ast.comprehension(target=ast.Tuple(elts=[name, *_]), iter=ast.Call() as items)
            ) if called(items).startswith("named_"):
                names.add(name)
    return Texts(source, lambda node: node in names)


def _is_assigned(source: Source, target: ast.AST) -> bool:
    """Whether a name is assigned a value, and not the items of one by a loop."""
    return not isinstance(source.parents.get(target), ast.For | ast.comprehension)


def _is_unwrapped(node: ast.AST, models: Names) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "module" and node.value in models


def _is_class(node: ast.AST, models: Names) -> bool:
    """``type(model)``, ``model.__class__``."""
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[model]) | ast.Attribute(value=model, attr="__class__"):
            return model in models or _is_unwrapped(model, models)
    return False
