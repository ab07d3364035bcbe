"""Names of workloads in a file: which texts are such names, and collections that are made of them."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator

from harness.check.reports import is_only_reported
from harness.check.serving import name_read, serves_sizes
from harness.check.source import SIZE_FUNCTIONS, Source, words

_ALGOPERF = words(
    """
    criteo1tb fastmri imagenet_resnet imagenet_vit librispeech_conformer librispeech_deepspeech ogbg wmt
    finewebedu_lm mnist cifar imagenet librispeech criteo
    """
)


@functools.cache
def known_names() -> frozenset[str]:
    """Names of workloads, ours and AlgoPerf's, with the variants."""
    from harness.workloads import workload_class, workload_names

    variants = {f"{name}_{variant}" for name in workload_names() for variant in workload_class(name).variants}
    return frozenset({*_ALGOPERF, *workload_names(), *variants})


@functools.cache
def named_workload(text: str) -> str:
    """The workload that a text speaks of (``mnist``, ``MNIST``, ``mnist_learning_rate``); empty where there is none."""
    found = re.findall(rf"(?:^|[^a-z0-9])({_pattern()})(?=[^a-z0-9]|$)", text.lower())
    return max(found, key=len, default="")


@functools.cache
def _pattern() -> str:
    return "|".join(sorted(map(re.escape, known_names()), key=len, reverse=True))


# ---- collections ----


def collections(source: Source) -> Iterator[tuple[ast.AST, list[str]]]:
    """Tables and lists by the names of workloads that something in the entry's files reads."""
    for node in source.nodes:
        texts = list(_texts(source, node))
        exact = any(text.lower() in known_names() for text in texts)
        named = _different({named_workload(text) for text in texts} - {""})
        if ((exact and _is_table(node)) or len(named) > 1) and not _is_idle(source, node):
            yield _place(node), named


def _place(node: ast.AST) -> ast.AST:
    """A collection, or the first constant of a module that names a workload."""
    if not isinstance(node, ast.Module):
        return node
    return next(statement for statement in node.body if any(map(named_workload, _assigned([statement]))))


def _different(names: set[str]) -> list[str]:
    """Names without those that begin another one: ``imagenet`` beside ``imagenet_vit`` is no other workload."""
    return sorted(name for name in names if not any(other.startswith(f"{name}_") for other in names))


def _is_table(node: ast.AST) -> bool:
    return isinstance(node, ast.Dict) or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict")


def _texts(source: Source, node: ast.AST) -> Iterator[str]:
    """What a collection holds or is keyed by: a dictionary, keywords, a list of texts or pairs, a class, a module's
    constants, and a text that is a list of words."""
    match node:
        case ast.Dict(keys=keys):
            yield from _constants(keys)
        case ast.Call(keywords=keywords):
            yield from (keyword.arg for keyword in keywords if keyword.arg)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            if not isinstance(source.parents.get(node), ast.Compare):  # which decides by itself
                yield from _constants(items)
                yield from _constants(item.elts[0] for item in items if isinstance(item, ast.Tuple) and item.elts)
        case ast.ClassDef(body=body) | ast.Module(body=body):
            for name in _assigned(body):
                if isinstance(node, ast.ClassDef) or not _is_unread(source, name):
                    yield name
        case ast.Constant(value=str(text)) if all(map(named_workload, re.findall(r"\w+", text))):
            yield from re.findall(r"\w+", text)


def _constants(nodes: Iterable[ast.AST | None]) -> Iterator[str]:
    yield from (n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _assigned(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


# ---- where they are used ----


def _is_idle(source: Source, node: ast.AST) -> bool:
    """Whether a collection is only reported, or serves get_batch_size alone, or is read by nothing."""
    if isinstance(node, ast.Module):
        return False
    if isinstance(node, ast.ClassDef):
        return _is_unread(source, node.name)
    if serves_sizes(source, node) or is_only_reported(source, node):
        return True
    statement = next((above for above in source.ancestors(node) if isinstance(above, ast.stmt)), None)
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        names = [*_assigned([statement]), *_attributes(statement)]
        passed_on = any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(statement))
        return (
            bool(names)
            and not passed_on
            and not SIZE_FUNCTIONS & set(names)
            and all(_is_unread(source, name) for name in names)
        )
    return isinstance(statement, ast.Expr) and statement.value is node


def _attributes(statement: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    """``self.sizes = {...}``."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    yield from (target.attr for target in targets if isinstance(target, ast.Attribute))


def _is_unread(source: Source, name: str) -> bool:
    uses = [(each, node) for each in source.siblings for node in each.nodes if name_read(each, node) == name]
    return all(serves_sizes(each, node) or is_only_reported(each, node) for each, node in uses)
