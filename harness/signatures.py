"""Submission functions: which an entry has, and whether they take the arguments that the harness gives."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from harness.spec import OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS

_CALLED_BY_POSITION = frozenset({"init_optimizer_state", "data_selection", "get_batch_size", "get_eval_batch_size"})
_ALL = {**SUBMISSION_FUNCTIONS, **OPTIONAL_SUBMISSION_FUNCTIONS}


def defined_names(tree: ast.Module) -> dict[str, ast.AST]:
    """Names that a module has at its top, with the node that gives each."""
    names: dict[str, ast.AST] = {}
    top = set(_top_statements(tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node in top:
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update({(alias.asname or alias.name): node for alias in node.names})
        elif isinstance(node, ast.Assign):
            names.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
    return names


def _top_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, with those under ``if`` and ``try``."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            for inner in ("body", "orelse", "finalbody"):
                yield from _top_statements(getattr(node, inner, []))


def imports_all(tree: ast.Module) -> bool:
    """Whether a module has ``from x import *``, so that it may have any name."""
    return any(isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names) for n in ast.walk(tree))


def signature_problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and messages for submission functions that are missing or have other arguments than they are given."""
    defined = defined_names(tree)
    star = imports_all(tree)
    for name, arguments in _ALL.items():
        node = defined.get(name)
        if node is None and name in SUBMISSION_FUNCTIONS and not star:
            remedy = f"define it{_or_rename(name, defined)}"
            yield 1, f"required function {name}({', '.join(arguments)}) is missing; {remedy}"
        if isinstance(node, ast.FunctionDef):
            problem = _argument_problem(name, arguments, _Arguments.of_source(node))
            if problem:
                yield node.lineno, problem


def _or_rename(wanted: str, defined: Mapping[str, ast.AST]) -> str:
    """A function of nearly the same name is most likely the one that is missed."""
    others = [name for name, node in defined.items() if isinstance(node, ast.FunctionDef) and name not in _ALL]
    near = difflib.get_close_matches(wanted, others, n=1, cutoff=0.8)
    return f", or rename {near[0]} in line {getattr(defined[near[0]], 'lineno', 1)}" if near else ""


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """What a function accepts: names, how many of them have no default, and whether it takes *args / **kwargs."""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    required: frozenset[str]
    any_position: bool
    any_keyword: bool

    @classmethod
    def of_source(cls, node: ast.FunctionDef) -> _Arguments:
        a = node.args
        positional = tuple(arg.arg for arg in [*a.posonlyargs, *a.args])
        without = positional[: len(positional) - len(a.defaults)]
        keyword = tuple(arg.arg for arg in a.kwonlyargs)
        needed = [name for name, default in zip(keyword, a.kw_defaults, strict=True) if default is None]
        return cls(positional, keyword, frozenset([*without, *needed]), a.vararg is not None, a.kwarg is not None)

    @classmethod
    def of_function(cls, function: Any) -> _Arguments:
        parameters = inspect.signature(function).parameters.values()
        kinds = inspect.Parameter
        by_kind = {
            kind: tuple(p.name for p in parameters if p.kind in kind)
            for kind in ((kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD), (kinds.KEYWORD_ONLY,))
        }
        positional, keyword = by_kind.values()
        required = frozenset(p.name for p in parameters if p.default is p.empty and p.name in positional + keyword)
        found = {p.kind for p in parameters}
        return cls(positional, keyword, required, kinds.VAR_POSITIONAL in found, kinds.VAR_KEYWORD in found)


def _argument_problem(function: str, expected: tuple[str, ...], found: _Arguments) -> str | None:
    signature = f"{function}({', '.join(expected)})"
    if function in _CALLED_BY_POSITION:
        extra = [name for name in found.positional[len(expected) :] if name in found.required]
        if len(found.positional) < len(expected) and not found.any_position:
            return f"{function} takes {len(found.positional)} arguments; it is called as {signature}"
    else:
        missing = [n for n in expected if n not in found.positional + found.keyword_only]
        if missing and not found.any_keyword:
            return f"{function} has no argument {', '.join(missing)}; it is called as {signature}"
        extra = sorted(found.required - {*expected, "train_state"})
    if extra:
        return f"{function} needs {', '.join(extra)}, which is not given; it is called as {signature}"
    return None


def problems_of_functions(module: Any) -> Iterator[str]:
    """What is wrong with the submission functions of an imported module."""
    for name, arguments in _ALL.items():
        function = getattr(module, name, None)
        if function is not None:
            if problem := _argument_problem(name, arguments, _Arguments.of_function(function)):
                yield problem
        elif name in SUBMISSION_FUNCTIONS:
            yield f"required function {name} is missing"
