"""Rules against entries that know which workload they are on, or look at what they are judged by."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from harness.check.findings import Hit, source_rule
from harness.check.names import Scope, bound_in, called, defaults
from harness.check.reports import is_only_reported
from harness.check.serving import serves_sizes, size_functions
from harness.check.source import Source, words
from harness.check.texts import ASKS, LOOKUPS, OF_A_CLASS, texts_of_the_workload
from harness.check.workload_names import collections, known_names
from harness.view import IDENTITY

# ---- by name ----


@source_rule(
    "workload-name",
    "error",
    "does not decide by the workload's name, except in get_batch_size",
    "decide by what the contract gives: parameter types and shapes, loss_type, step_hint",
)
def by_name(source: Source) -> Iterable[Hit]:
    for node in source.nodes:
        hits = list(_identity_of_the_workload(source, node))
        if _names_a_workload(node) and _decides(source, node):
            hits.append((node, f"decides by the workload's name {node.value!r}"))
        if hits and not serves_sizes(source, node) and not is_only_reported(source, node):
            yield from hits
    for node, names in collections(source):
        yield node, f"has values by the workloads' names {', '.join(map(repr, names[:3]))}"
    yield from _kept_by_size_functions(source)


def _names_a_workload(node: ast.AST) -> TypeGuard[ast.Constant]:
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and text.strip(string.punctuation).lower() in known_names()


_ASKED = words("type isinstance repr str vars dir format ascii")
"""Not ``id`` and ``hash``: an address says nothing, and is what a cache is keyed by."""


def _identity_of_the_workload(source: Source, node: ast.AST) -> Iterator[Hit]:
    match node:
        case ast.Attribute(value=value, attr=attr) if source.is_workload(value):
            if attr in IDENTITY or attr.startswith("__"):
                yield node, f"reads workload.{attr}, which says which workload it is on"
        case ast.Attribute(value=ast.Attribute(value=value, attr=inner), attr=attr) if source.is_workload(value):
            if attr in OF_A_CLASS:
                yield node, f"reads {attr} of workload.{inner}, which says which workload it is on"
        case ast.Call(func=ast.Name(id=asked), args=[first, *_]) if asked in _ASKED and source.is_workload(first):
            if not _asks_for_every_workload(source, node):
                yield node, f"asks {asked}() of the workload, which says which one it is"
        case ast.Call(
            func=ast.Name(id="getattr" | "hasattr") | ast.Attribute(attr="__getattribute__" | "__getattr__"),
            args=[first, name, *_],
        ) if source.is_workload(first):
            if not isinstance(name, ast.Constant) or name.value in IDENTITY:
                yield node, "asks the workload for an attribute that says which one it is"
        case ast.Call(func=ast.Call(func=getter), args=[first, *_]) if source.is_workload(first):
            if source.dotted(getter) == "operator.attrgetter":
                yield node, "asks the workload for an attribute that says which one it is"
        case ast.Name(id="workload_name", ctx=ast.Load()):
            yield node, "uses the workload's name"
    if _is_text_of_the_workload(source, node):
        yield node, "makes a text of the workload, which says which one it is"


def _asks_for_every_workload(source: Source, call: ast.Call) -> bool:
    """``isinstance(workload, spec.Workload)``."""
    path = (source.dotted(call.args[1]) or "") if len(call.args) == 2 else ""
    return ast.unparse(call.func) == "isinstance" and path.endswith("spec.Workload") and not source.is_own(path)


def _is_text_of_the_workload(source: Source, node: ast.AST) -> bool:
    """``f"{workload}"``, ``"%s" % workload``, ``"{}".format(workload)``."""
    match node:
        case ast.FormattedValue(value=value):
            return source.is_workload(value)
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod(), right=value):
            return any(map(source.is_workload, value.elts if isinstance(value, ast.Tuple) else [value]))
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="format"), args=args, keywords=keywords):
            return any(map(source.is_workload, [*args, *(keyword.value for keyword in keywords)]))
    return False


def _decides(source: Source, node: ast.AST) -> bool:
    """Whether a literal is compared with, matched against, or a key that is looked up."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.Tuple | ast.List | ast.Set):
        parent = source.parents.get(parent)
    if isinstance(parent, ast.Attribute):  # "mnist".__eq__(name)
        parent = source.parents.get(parent)
    if isinstance(parent, ast.Call):
        return called(parent) in ASKS | LOOKUPS
    sets = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.BitAnd | ast.Sub)
    return sets or isinstance(parent, ast.Compare | ast.MatchValue | ast.Subscript)


def _kept_by_size_functions(source: Source) -> Iterator[Hit]:
    """get_batch_size is given the name; it must not leave it where other functions find it."""
    found: dict[Scope, str] = {function: place for place, function in size_functions(source)}
    for function, place in tuple(found.items()):
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        helpers = [helper for call in calls for helper in source.functions.get(called(call), ())]
        found = dict.fromkeys(helpers, place) | found
    for function, name in found.items():
        yield from ((node, f"{name} {_KEEPS}") for node in ast.walk(function) if keeps(function, node))


_KEEPS = "keeps something for other functions; it is there to give a number"
_ADDING = frozenset({"append", "add", "update", "setdefault", "extend", "insert", "appendleft", "__setitem__"})


def keeps(function: Scope, node: ast.AST) -> bool:
    """Whether a node stores something that outlives the call: in a global, or in an object from outside."""
    match node:
        case ast.Global() | ast.Nonlocal():
            return True
        case ast.Attribute(value=held, ctx=ast.Store()) | ast.Subscript(value=held, ctx=ast.Store()):
            return _is_from_outside(function, held)
        case ast.Call(func=ast.Attribute(value=held, attr=attr)) if attr in _ADDING:
            return _is_from_outside(function, held)
        case ast.Call(func=ast.Name(id="setattr"), args=[held, *_]):
            return _is_from_outside(function, held)
    return False


def _is_from_outside(function: Scope, node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    lasting = {parameter.arg for parameter, _ in defaults(function) if isinstance(parameter, ast.arg)}
    lasting |= {parameter.arg for parameter in function.args.args[:1] if parameter.arg in ("self", "cls")}
    return isinstance(node, ast.Name) and node.id not in bound_in(function) - lasting


@source_rule(
    "metric-name",
    "warning",
    "does not decide by the name of the metric that the workload is judged by",
    "leave it where it says no more than whether higher is better, else decide by loss_type",
)
def by_metric(source: Source) -> Iterable[Hit]:
    for node, text in texts_of_the_workload(source).decisions():
        yield node, f"decides by the workload's metric {text}"
    for node in source.nodes:
        match node:
            case (
                ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In() | ast.NotIn()])
                | ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(text)), *_])
            ) if re.match(r"(train|validation)/(?!loss$)", text):
                yield node, f"asks whether there is a {text!r}"


# ---- what it is judged by ----

_EVALUATION = words(
    """
    load_split examples evaluate eval_model _eval_model_on_split _build_input_queue has_reached_test_target
    _eval_batch bind resampling strata groups is_right
    """
)


@source_rule(
    "peeks",
    "error",
    "learns of validation and test data only what eval_results tells it",
    "train on batches from input_queue; for progress, read the validation/ keys of eval_results",
)
def peeks(source: Source) -> Iterable[Hit]:
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and source.is_workload(node.value) and node.attr in _EVALUATION:
            yield node, f"uses workload.{node.attr}, which is the harness's"
        elif isinstance(node, ast.Constant) and _is_a_test_result(source, node):
            yield node, f"reads the test result {node.value!r}"
    yield from _benchmark_imports(source)


def _is_a_test_result(source: Source, node: ast.Constant) -> bool:
    """``"test/loss"``, ``key.startswith("test")``; not what leaves such keys out."""
    if not isinstance(node.value, str):
        return False
    question = source.parents.get(node)
    if isinstance(question, ast.Tuple):  # startswith(("test", "train"))
        question = source.parents.get(question)
    asked = isinstance(question, ast.Call) and called(question) == "startswith"
    named = node.value.startswith("test/") or (asked and node.value == "test")
    return named and not (question is not None and _leaves_out(source, question))


def _leaves_out(source: Source, question: ast.AST) -> bool:
    """``if not key.startswith("test")`` in a comprehension, before a block or as what a function answers, and
    ``continue`` for such keys."""
    within = source.parents.get(question)
    kept = isinstance(within, ast.UnaryOp) and isinstance(within.op, ast.Not)
    asks, within = (within, source.parents.get(within)) if kept and within else (question, within)
    if isinstance(question, ast.Compare):  # "test/" not in key
        kept = isinstance(question.ops[0], ast.NotIn) and not kept
    elif not isinstance(question, ast.Call) or called(question) != "startswith":
        return False
    while kept and isinstance(within, ast.BoolOp) and isinstance(within.op, ast.And):
        asks, within = within, source.parents.get(within)
    match within:
        case ast.comprehension(ifs=ifs):
            return kept and asks in ifs
        case ast.Lambda() | ast.Return():
            return kept
        case ast.If(test=test, body=body, orelse=[]) if test is asks:
            return kept or isinstance(body[0], ast.Continue)
    return False


def _benchmark_imports(source: Source) -> Iterator[Hit]:
    for imported, path in source.references:
        if path.split(".")[0] in ("workloads", "results", "scoring") and not source.is_own(path):
            yield imported, f"uses {path}, which belongs to the benchmark"
        elif path.startswith("harness.") and not path.startswith(("harness.spec", "harness.interface")):
            yield imported, f"uses {path}; of the harness an entry needs harness.spec alone"
