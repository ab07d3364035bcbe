"""Which files the paths in a source mean: whether they lie in the entry's own folder, found by ``__file__``."""

from __future__ import annotations

import ast
import functools
import itertools
import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from harness.check.names import Scope, returned
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
        root = source.layout.root if source.layout else source.path.parent
        self.root = root if source.path.is_relative_to(root) else source.path.parent
        self._found: dict[str, frozenset[str]] = {}

    def is_own(self, node: ast.AST) -> bool:
        """Whether an expression is made from ``__file__``, and does not climb out of the entry's folder."""
        return self.is_made_from_file(node) and all(map(self._is_inside, self._texts(node)))

    def is_made_from_file(self, node: ast.AST) -> bool:
        return _mentions(node, self._of_kind("made from __file__"))

    def _is_inside(self, text: str) -> bool:
        return not text.startswith("/") or Path(os.path.normpath(text)).is_relative_to(self.root)

    def is_path(self, node: ast.AST) -> bool:
        """Whether an expression is one of pathlib's objects."""
        return self._is_path(node, self._of_kind("of pathlib"))

    def _is_path(self, node: ast.AST, names: frozenset[str]) -> bool:
        match node:
            case ast.Name() | ast.Attribute() if ast.unparse(node) in names:
                return True
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
        return tuple(self.source.assigned)

    def _of_kind(self, kind: str) -> frozenset[str]:
        """Names of a kind in this file, and those that it imports from the entry's other files. Where files import each
        other in a circle, the inner one sees what the outer one defines itself."""
        if kind not in self._found:
            more, start = _KINDS[kind]
            self._found[kind] = _closure(lambda names: more(self, names), frozenset(start(self)))
            names = self._found[kind] | frozenset(self._imported_of_kind(kind))
            self._found[kind] = _closure(lambda names: more(self, names), names)
        return self._found[kind]

    def _imported_of_kind(self, kind: str) -> Iterator[str]:
        for local in self.source.origins:
            source, name = self.source.origin_of(local) or (self.source, "")
            there = paths_of(source)._of_kind(kind)
            if not name:
                yield from (f"{local}.{each}" for each in there - {"__file__"})
            elif name in there:
                yield local
            else:
                yield from (local + each.removeprefix(name) for each in there if each.startswith(f"{name}."))

    def _more_made_from_file(self, own: frozenset[str]) -> Iterator[str]:
        yield from (name for name, value in self._named_values if _mentions(value, own))
        yield from (f.name for f, values in self._functions if all(_mentions(value, own) for value in values))

    def _more_path_names(self, names: frozenset[str]) -> Iterator[str]:
        yield from (name for name, value in self._named_values if self._is_path(value, names))

    def _annotated(self) -> Iterator[str]:
        for node in self.source.nodes:
            if isinstance(node, ast.arg) and node.annotation and self.source.dotted(node.annotation) in _PATH_CLASSES:
                yield node.arg

    @functools.cached_property
    def _functions(self) -> tuple[tuple[ast.FunctionDef, list[ast.expr]], ...]:
        return tuple(returned(self.source.tree))

    @functools.cached_property
    def _named_values(self) -> tuple[tuple[str, ast.expr], ...]:
        """Names and attributes with what they are assigned; of what a class assigns, every name that it goes by."""
        found = []
        for target, value in self._bindings:
            found.append((ast.unparse(target), value))
            holder = self.source.parents.get(self.source.parents.get(target, target))
            if isinstance(holder, ast.ClassDef) and isinstance(target, ast.Name):
                found += [(f"{of}.{target.id}", value) for of in ("self", "cls", holder.name)]
        return tuple(found)

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
                known = seen | {self._key(node)}
                return frozenset(itertools.chain.from_iterable(self._texts(value, known) for value in values))
            case ast.Name() | ast.Attribute() if (origin := self._origin(node)) and self._key(node) not in seen:
                return paths_of(origin[0])._texts(ast.Name(origin[1]), seen | {self._key(node)})
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

    def _key(self, node: ast.expr) -> str:
        return f"{self.source.path}:{ast.unparse(node)}"

    def _origin(self, node: ast.expr) -> tuple[Source, str] | None:
        """The entry's other file, and the name there, that an imported name means (``CONFIG``, ``paths.CONFIG``)."""
        if isinstance(node, ast.Attribute):
            module, name = self.source.origin_of(ast.unparse(node.value)) or (None, "")
            return (module, node.attr) if module is not None and not name else None
        origin = self.source.origin_of(ast.unparse(node))
        return origin if origin and origin[1] else None

    def _values_of(self, node: ast.expr, seen: frozenset[str]) -> list[ast.expr]:
        """What a name was assigned, where it is used."""
        name = ast.unparse(node)
        scopes = () if self._key(node) in seen else self.source.scopes(node)
        return next((self._values[scope, name] for scope in scopes if (scope, name) in self._values), [])

    def _texts_of_call(self, call: ast.Call, seen: frozenset[str]) -> frozenset[str]:
        function = self.source.dotted(call.func)
        given: list[ast.expr] = list(call.args)
        if isinstance(call.func, ast.Attribute) and (function is None or self.source.is_own(function)):
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


_KINDS: Mapping[str, tuple[Callable[[Paths, frozenset[str]], Iterable[str]], Callable[[Paths], Iterable[str]]]] = {
    "made from __file__": (Paths._more_made_from_file, lambda paths: ["__file__"]),
    "of pathlib": (Paths._more_path_names, Paths._annotated),
}
"""Kinds of names: what follows from some, and with which it starts."""


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
