"""Which files the paths in a source mean: whether they lie in the entry's own folder, found by ``__file__``."""

from __future__ import annotations

import ast
import functools
import itertools
import os.path
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from harness.check.names import Scope, bindings, returned
from harness.check.source import Source, words

_UNKNOWN = "?"
_ENOUGH = 16
"""How many possible values of one expression are followed."""

_PATH_CLASSES = words("pathlib.Path pathlib.PosixPath pathlib.PurePath pathlib.PurePosixPath")
_SAME_FILE = words("""
    builtins.str os.fspath os.path.abspath os.path.realpath os.path.normpath os.path.expanduser resolve absolute
    expanduser as_posix""")
"""Functions and methods that name the same file as what they are given."""

_JOINS = frozenset({"os.path.join", "joinpath", "glob", "rglob", *_PATH_CLASSES})
_OF_PATHS = words("resolve absolute expanduser joinpath with_name with_suffix with_stem parent parents home cwd")
"""Attributes and methods of a path that are paths again."""


class Paths:
    """The paths of one source file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        within = source.root is not None and source.path.is_relative_to(source.root)
        self.root = source.root if within and source.root is not None else source.path.parent

    def is_own(self, node: ast.AST) -> bool:
        """Whether an expression is made from ``__file__``, and does not climb out of the entry's folder."""
        return self.is_made_from_file(node) and all(map(self._is_inside, self._texts(node)))

    def is_made_from_file(self, node: ast.AST) -> bool:
        return _mentions(node, self._made_from_file)

    def _is_inside(self, text: str) -> bool:
        return not text.startswith("/") or Path(os.path.normpath(text)).is_relative_to(self.root)

    def is_path(self, node: ast.AST) -> bool:
        """Whether an expression is one of pathlib's objects."""
        return self._is_path(node, self._path_names)

    def _is_path(self, node: ast.AST, names: frozenset[str]) -> bool:
        match node:
            case ast.Name(id=name):
                return name in names
            case ast.BinOp(left=part, op=ast.Div()) | ast.Subscript(value=part):
                return self._is_path(part, names)
            case ast.Call(func=function):
                return self.source.dotted(function) in _PATH_CLASSES or self._is_path(function, names)
            case ast.Attribute(value=value, attr=attr) if attr in _OF_PATHS:
                return self.source.dotted(value) in _PATH_CLASSES or self._is_path(value, names)
        return False

    # ---- names ----

    @functools.cached_property
    def _bindings(self) -> tuple[tuple[ast.expr, ast.expr], ...]:
        return tuple(bindings(self.source.tree))

    @functools.cached_property
    def _made_from_file(self) -> frozenset[str]:
        """Names, attributes and functions that give paths made from ``__file__``."""
        functions = list(returned(self.source.tree))

        def more(own: frozenset[str]) -> Iterator[str]:
            yield from (ast.unparse(target) for target, value in self._bindings if _mentions(value, own))
            yield from (f.name for f, values in functions if all(_mentions(value, own) for value in values))

        return _closure(more, frozenset({"__file__"}))

    @functools.cached_property
    def _path_names(self) -> frozenset[str]:
        """Names that hold one of pathlib's objects: assigned one, or annotated so."""
        arguments = [n for n in ast.walk(self.source.tree) if isinstance(n, ast.arg) and n.annotation]
        annotated = {n.arg for n in arguments if n.annotation and self.source.dotted(n.annotation) in _PATH_CLASSES}

        def more(names: frozenset[str]) -> Iterator[str]:
            yield from (ast.unparse(target) for target, value in self._bindings if self._is_path(value, names))

        return _closure(more, frozenset(annotated))

    @functools.cached_property
    def _values(self) -> dict[tuple[ast.AST | None, str], list[ast.expr]]:
        """What names are assigned, by the function in which they are; a parameter may be anything."""
        found: dict[tuple[ast.AST | None, str], list[ast.expr]] = {}
        for target, value in self._bindings:
            for scope in itertools.islice(self.source.scopes(target), 1):
                found.setdefault((scope, ast.unparse(target)), []).append(value)
        for node in ast.walk(self.source.tree):
            if isinstance(node, Scope):
                for argument in ast.walk(node.args):
                    if isinstance(argument, ast.arg):
                        found.setdefault((node, argument.arg), []).append(ast.Constant(None))
        return found

    # ---- what a path is, as text ----

    def _texts(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        """What an expression may be, ``?`` standing for what cannot be told."""
        match node:
            case ast.Constant(value=str(text)):
                return frozenset({text})
            case ast.Name(id="__file__"):
                return frozenset({str(self.source.path)})
            case ast.Name() | ast.Attribute(value=ast.Name()) if values := self._values_of(node, seen):
                known = seen | {ast.unparse(node)}
                return frozenset(itertools.chain.from_iterable(self._texts(value, known) for value in values))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._combined(os.path.join, [left, right], seen)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._combined(_concatenated, [left, right], seen)
            case ast.JoinedStr(values=parts):
                return self._combined(_concatenated, parts, seen)
            case ast.FormattedValue(value=value):
                return self._texts(value, seen)
            case ast.Attribute(value=value, attr="parent"):
                return self._combined(os.path.dirname, [value], seen)
            case ast.Subscript(value=ast.Attribute(value=value, attr="parents"), slice=ast.Constant(value=int(n))):
                return self._combined(lambda text: _ancestor(text, n), [value], seen)
            case ast.Call():
                return self._texts_of_call(node, seen)
        return frozenset({_UNKNOWN})

    def _values_of(self, node: ast.expr, seen: frozenset[str]) -> list[ast.expr]:
        """What a name was assigned, where it is used."""
        name = ast.unparse(node)
        scopes = () if name in seen else self.source.scopes(node)
        return next((self._values[scope, name] for scope in scopes if (scope, name) in self._values), [])

    def _texts_of_call(self, call: ast.Call, seen: frozenset[str]) -> frozenset[str]:
        function = self.source.dotted(call.func)
        given: list[ast.expr] = list(call.args)
        if function is None and isinstance(call.func, ast.Attribute):
            function, given = call.func.attr, [call.func.value, *given]
        if not given or any(isinstance(each, ast.Starred) for each in given):
            return frozenset({_UNKNOWN})
        if function in _SAME_FILE:
            return self._texts(given[0], seen)
        if function in _JOINS:
            return self._combined(os.path.join, given, seen)
        if function in ("os.path.dirname", "with_name", "with_suffix", "with_stem"):
            first = self._combined(os.path.dirname, given[:1], seen)
            return first if function == "os.path.dirname" else frozenset(f"{text}/{_UNKNOWN}" for text in first)
        return frozenset({_UNKNOWN})

    def _combined(
        self, function: Callable[..., str], parts: Iterable[ast.expr], seen: frozenset[str]
    ) -> frozenset[str]:
        choices = itertools.product(*(sorted(self._texts(part, seen)) for part in parts))
        return frozenset(function(*choice) for choice in itertools.islice(choices, _ENOUGH))


@functools.lru_cache(maxsize=64)
def paths_of(source: Source) -> Paths:
    return Paths(source)


def _concatenated(*parts: str) -> str:
    return "".join(parts)


def _ancestor(text: str, generation: int) -> str:
    """``Path(text).parents[generation]``, without an end: the root is its own parent."""
    return os.path.normpath(Path(text, *[".."] * (generation + 1)))


def _closure(more: Callable[[frozenset[str]], Iterable[str]], names: frozenset[str]) -> frozenset[str]:
    """Names and what follows from them, until nothing more does."""
    while not (found := frozenset(more(names))) <= names:
        names |= found
    return names


def _mentions(node: ast.AST, names: frozenset[str]) -> bool:
    return any(isinstance(n, ast.Name | ast.Attribute) and ast.unparse(n) in names for n in ast.walk(node))
