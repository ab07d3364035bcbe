"""Rules against entries that know which workload they are on, or look at what they are judged by."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from harness.check.findings import Hit, source_rule
from harness.check.names import bound_in
from harness.check.source import SIZE_FUNCTIONS, Source, words
from harness.view import IDENTITY

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


# ---- by name ----


@source_rule(
    "workload-name",
    "error",
    "does not decide by the workload's name, except in get_batch_size",
    "decide by what the contract gives: parameter types and shapes, loss_type, step_hint",
)
def by_name(source: Source) -> Iterable[Hit]:
    for node in source.nodes:
        if source.top_function(node) in SIZE_FUNCTIONS or _is_only_reported(source, node):
            continue
        yield from _identity_of_the_workload(source, node)
        if _names_a_workload(node) and _decides(source, node):
            yield node, f"decides by the workload's name {node.value!r}"
    yield from _kept_by_size_functions(source)


def _names_a_workload(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() in known_names()


def _identity_of_the_workload(source: Source, node: ast.AST) -> Iterator[Hit]:
    if isinstance(node, ast.Attribute) and source.is_workload(node.value):
        if node.attr in IDENTITY or node.attr.startswith("__"):
            yield node, f"reads workload.{node.attr}, which says which workload it is on"
    elif _is_text_of_the_workload(source, node):
        yield node, "makes a text of the workload, which says which one it is"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id in ("type", "isinstance", "repr", "str", "vars", "id") and source.is_workload(node.args[0]):
            yield node, f"asks {node.func.id}() of the workload, which says which one it is"
        elif node.func.id in ("getattr", "hasattr") and source.is_workload(node.args[0]) and len(node.args) > 1:
            name = node.args[1]
            if not isinstance(name, ast.Constant) or name.value in IDENTITY:
                yield node, "asks the workload for an attribute that says which one it is"
    elif isinstance(node, ast.Name) and node.id == "workload_name" and isinstance(node.ctx, ast.Load):
        yield node, "uses the workload's name"


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


_LOGGERS = frozenset({"logging.getLogger", "absl.logging.get_absl_logger"})


def _is_only_reported(source: Source, node: ast.AST) -> bool:
    """Whether a value goes into an error or a log line, and nowhere else."""
    for above in source.ancestors(node):
        if isinstance(above, ast.Raise):
            return True
        if isinstance(above, ast.Call) and above.func is not node:
            path = source.dotted(above.func) or ""
            if path == "builtins.print" or path.startswith(("logging.", "absl.logging.", "warnings.")):
                return True
            if isinstance(above.func, ast.Attribute) and source.is_made_by(above.func.value, _LOGGERS):
                return True
        if isinstance(above, ast.stmt):
            return False
    return False


def _decides(source: Source, node: ast.AST) -> bool:
    """Whether a literal is compared with, matched against, or a key that is looked up."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.Tuple | ast.List | ast.Set):
        parent = source.parents.get(parent)
    return isinstance(parent, ast.Compare | ast.MatchValue | ast.Subscript) or (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Attribute)
        and parent.func.attr in ("startswith", "endswith", "count", "find")
    )


def _kept_by_size_functions(source: Source) -> Iterator[Hit]:
    """get_batch_size is given the name; it must not leave it where other functions find it."""
    functions = {node.name: node for node in source.tree.body if isinstance(node, ast.FunctionDef)}
    for name in SIZE_FUNCTIONS & functions.keys():
        helpers = {
            n.func.id for n in ast.walk(functions[name]) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        }
        for function in (functions[each] for each in {name, *(helpers & functions.keys())}):
            yield from ((node, f"{name} {_KEEPS}") for node in ast.walk(function) if _keeps(function, node))


_KEEPS = "keeps something for other functions; it is there to give a number"
_ADDING = frozenset({"append", "add", "update", "setdefault", "extend", "insert", "appendleft"})


def _keeps(function: ast.FunctionDef, node: ast.AST) -> bool:
    """Whether a node stores something that outlives the call: in a global, or in an object from outside."""
    match node:
        case ast.Global():
            return True
        case ast.Attribute(value=held, ctx=ast.Store()) | ast.Subscript(value=held, ctx=ast.Store()):
            return _is_from_outside(function, held)
        case ast.Call(func=ast.Attribute(value=held, attr=attr)) if attr in _ADDING:
            return _is_from_outside(function, held)
    return False


def _is_from_outside(function: ast.FunctionDef, node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name) and node.id not in bound_in(function)


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
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("test/"):
            yield node, f"reads the test result {node.value!r}"
    for imported, path in source.references:
        if path.split(".")[0] in ("workloads", "results", "scoring") and not source.is_own(path):
            yield imported, f"uses {path}, which belongs to the benchmark"
        elif path.startswith("harness.") and not path.startswith(("harness.spec", "harness.interface")):
            yield imported, f"uses {path}; of the harness an entry needs harness.spec alone"
