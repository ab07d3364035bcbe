"""Texts that tell a workload or its model (a metric's name, a class's name), and where they decide something."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from harness.check.layers import is_kind_of_layer
from harness.check.names import Names, bindings, called, parts, passed
from harness.check.source import Source, words

_STAYS_A_TEXT = words(
    "lower upper casefold strip lstrip rstrip removeprefix removesuffix split rsplit partition replace"
)
ASKS = words("startswith endswith find rfind index count __eq__ __ne__ __contains__ match fullmatch search fnmatch eq")
"""Functions and methods that compare one text with another."""

LOOKUPS = words("get pop setdefault")

_TEXTS_OF = words("str repr format")
OF_A_CLASS = words("__name__ __qualname__ __module__ __doc__")
_MODELS = frozenset({"current_param_container", "model_params", "params", "model"})
_WRAPPERS = "Parallel"
"""What is in the name of every class of torch that wraps a model."""

_GIVE_MODULES = words("modules children named_modules named_children")
_KEEP_MODULES = words("list tuple set enumerate reversed iter next zip")


class Texts:
    """Texts of one kind in a file: expressions that ``begins`` knows, and what is made from them."""

    def __init__(
        self,
        source: Source,
        begins: Callable[[ast.AST], bool],
        tells_nothing: Callable[[str], bool] = lambda text: False,
    ) -> None:
        """
        Args:
          begins: whether an expression is such a text, by itself.
          tells_nothing: whether a constant text is one that it may be compared with.
        """
        self.source, self._begins, self._tells_nothing = source, begins, tells_nothing
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
            for texts in (self._decided_by(*question) for question in [(asked, known), *self._by_place(asked, known)]):
                if texts:
                    yield node, repr(texts[0])
                    break

    def _decided_by(self, asked: list[ast.expr], known: list[ast.expr]) -> list[str]:
        texts = [text for value in known for text in self._constant_texts(value) if _WRAPPERS not in text]
        texts = [text for text in texts if not self._tells_nothing(text)]
        return texts if texts and any(map(self._tells, asked)) else []

    def _by_place(
        self, asked: list[ast.expr], known: list[ast.expr]
    ) -> Iterator[tuple[list[ast.expr], list[ast.expr]]]:
        """A tuple is asked place by place: ``(loss, metric) == (SOFTMAX, "bleu")``."""
        rows = [row for each in known for row in (each, *getattr(each, "elts", ())) if isinstance(row, ast.Tuple)]
        for whole in asked:
            for value in (whole, *self.source.values_of.get(getattr(whole, "id", ""), ())) if rows else ():
                for place, part in enumerate(value.elts if isinstance(value, ast.Tuple) else ()):
                    yield [part], [row.elts[place] for row in rows if len(row.elts) == len(value.elts)]

    def _question(self, node: ast.AST) -> tuple[list[ast.expr], list[ast.expr]]:
        """Expressions of which one may tell, and what they are compared with."""
        match node:
            case ast.Compare(left=left, comparators=others):
                return [left, *others], [left, *others]
            case ast.Match(subject=subject, cases=cases):
                return [subject], [value for case in cases for value in _values_of_pattern(case.pattern)]
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


def _values_of_pattern(pattern: ast.pattern) -> Iterator[ast.expr]:
    """Values that a pattern has; a tuple also as a whole, with None in the places of what is no value."""
    for node in ast.walk(pattern):
        match node:
            case ast.MatchValue(value=value):
                yield value
            case ast.MatchSequence(patterns=places):
                yield ast.Tuple([p.value if isinstance(p, ast.MatchValue) else ast.Constant(None) for p in places])


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
            case (
                ast.Call(func=ast.Name(id="str" | "repr" | "format"), args=[value, *_])
                | ast.FormattedValue(value=value)
            ) if value in models:
                return True
        return _names_a_class(node, models)

    return Texts(source, begins)


def texts_of_the_modules(source: Source) -> Texts:
    """Names of the classes of a model's modules, where they are more than kinds of layers."""
    modules = Names(source.scopes)
    pairs = [*bindings(source.tree), *parts(source.tree), *passed(source.tree)]
    modules.spread(pairs, lambda _, value: _gives_modules(value, modules))
    return Texts(source, lambda node: _names_a_class(node, modules), is_kind_of_layer)


def _gives_modules(items: ast.expr, modules: Names) -> bool:
    """``model.named_modules()``, also in ``list`` or ``enumerate``, and what is made of such modules."""
    match items:
        case ast.Call(func=ast.Attribute(attr=attr)):
            return attr in _GIVE_MODULES
        case ast.Call(func=ast.Name(id=name), args=[given, *_]) if name in _KEEP_MODULES:
            return _gives_modules(given, modules)
        case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
            return item in modules
    return items in modules


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


def _names_a_class(node: ast.AST, models: Names) -> bool:
    """``type(model).__name__``, ``str(model.__class__)``, ``model._get_name()``."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="_get_name"), args=[]):
            return value in models
        case ast.Attribute(value=value, attr=attr) | ast.Call(func=ast.Name(id=attr), args=[value, *_]) if attr in (
            OF_A_CLASS if isinstance(node, ast.Attribute) else _TEXTS_OF
        ):
            return _is_class(value, models)
        case ast.FormattedValue(value=value):
            return _is_class(value, models)
    return False


def _is_class(node: ast.AST, models: Names) -> bool:
    """``type(model)``, ``model.__class__``."""
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[model]) | ast.Attribute(value=model, attr="__class__"):
            return model in models or _is_unwrapped(model, models)
    return False
