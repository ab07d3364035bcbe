"""Rules against entries that know which workload they are on, or look at what they are judged by."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator

from harness.check.findings import Hit, source_rule
from harness.check.source import SIZE_FUNCTIONS, Source, words
from harness.view import IDENTITY

_ALGOPERF = words(
    """
    criteo1tb fastmri imagenet_resnet imagenet_vit librispeech_conformer librispeech_deepspeech ogbg wmt
    finewebedu_lm mnist cifar imagenet librispeech criteo
    """
)
_NUMBERS = words(
    """
    step_hint num_train_examples num_eval_train_examples num_validation_examples num_test_examples num_parameters
    num_pool_examples validation_target_value test_target_value max_allowed_runtime_sec eval_period_time_sec
    eval_batch_size train_mean train_stddev
    """
)
"""Numbers of the workload: fine to compute with, but equal to a constant they name a workload."""

_SIZES = frozenset({"shape", "shape_tuple", "size", "numel", "nelement", "nbytes", "vocab_size"})
_COUNTED = frozenset(
    {"parameters", "named_parameters", "leaves", "tree_leaves", "children", "modules", "named_modules"}
)
_SMALLEST_TELLTALE = 8
"""Sizes below this are structure (two axes, one channel, three heads of a fused kernel), not a known model."""


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
    for node in ast.walk(source.tree):
        if source.top_function(node) in SIZE_FUNCTIONS or _is_only_reported(source, node):
            continue
        yield from _identity_of_the_workload(source, node)
        if isinstance(node, ast.Constant) and node.value in known_names() and _decides(source, node):
            yield node, f"decides by the workload's name {node.value!r}"
    yield from _kept_by_size_functions(source)


def _identity_of_the_workload(source: Source, node: ast.AST) -> Iterator[Hit]:
    if isinstance(node, ast.Attribute) and source.is_workload(node.value):
        if node.attr in IDENTITY or node.attr.startswith("__"):
            yield node, f"reads workload.{node.attr}, which says which workload it is on"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id in ("type", "isinstance", "repr", "str", "vars", "id") and source.is_workload(node.args[0]):
            yield node, f"asks {node.func.id}() of the workload, which says which one it is"
        elif node.func.id in ("getattr", "hasattr") and source.is_workload(node.args[0]) and len(node.args) > 1:
            name = node.args[1]
            if not isinstance(name, ast.Constant) or name.value in IDENTITY:
                yield node, "asks the workload for an attribute that says which one it is"
    elif isinstance(node, ast.Name) and node.id == "workload_name" and isinstance(node.ctx, ast.Load):
        yield node, "uses the workload's name"


def _is_only_reported(source: Source, node: ast.AST) -> bool:
    """Whether a value goes into an error or a log line, and nowhere else."""
    for above in source.ancestors(node):
        if isinstance(above, ast.Raise):
            return True
        if isinstance(above, ast.Call) and above.func is not node:
            path = source.dotted(above.func) or ""
            if path == "builtins.print" or path.startswith(("logging.", "absl.logging.", "warnings.")):
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
    for function in source.tree.body:
        if not isinstance(function, ast.FunctionDef) or function.name not in SIZE_FUNCTIONS:
            continue
        for node in ast.walk(function):
            stored = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
            if isinstance(node, ast.Global) or stored:
                yield node, f"{function.name} keeps something for other functions; it is there to give a number"


# ---- by shape ----


@source_rule(
    "model-shape",
    "error",
    "does not single out a known model by the exact shape or number of its parameters, or by its other numbers",
    "use a rule that holds for every model (a comparison with < or >, the parameter's type, its number of axes)",
)
def by_shape(source: Source) -> Iterable[Hit]:
    sized = _sized_names(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            exact = all(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops)
            if exact and any(_is_size(source, s, sized) for s in sides):
                telltale = [n for s in sides for n in _telltales(source, s)]
                if telltale:
                    yield node, f"compares a size with {', '.join(map(str, telltale))}"
        elif isinstance(node, ast.Match) and _is_size(source, node.subject, sized):
            yield node, "matches a size against constants"


def _sized_names(source: Source) -> frozenset[str]:
    """Names that are assigned a size, directly or from another such name."""
    names: frozenset[str] = frozenset()
    while True:
        found = frozenset(
            target.id
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Assign | ast.NamedExpr) and _is_size(source, node.value, names)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        )
        if found <= names:
            return names
        names |= found


def _is_size(source: Source, expression: ast.AST, sized: frozenset[str]) -> bool:
    """Whether an expression is made from sizes of tensors, counts of parameters or numbers of the workload. The
    value of a call is a size only where its function makes one: most take tensors in and give no size out."""
    if isinstance(expression, ast.Attribute):
        if expression.attr in _SIZES:
            return True
        return expression.attr in _NUMBERS and source.is_workload(expression.value)
    if isinstance(expression, ast.Name):
        return expression.id in sized
    if isinstance(expression, ast.Call):
        return _is_size_call(source, expression, sized)
    if isinstance(expression, ast.Compare | ast.Constant):
        return False
    return any(_is_size(source, child, sized) for child in ast.iter_child_nodes(expression))


_KEEPS_SIZE = frozenset({"sum", "max", "min", "tuple", "list", "sorted", "int", "prod", "set", "str", "len"})


def _is_size_call(source: Source, call: ast.Call, sized: frozenset[str]) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _SIZES and isinstance(function, ast.Attribute):
        return True
    if name == "len":
        return (
            any(
                (isinstance(n, ast.Attribute) and n.attr in _COUNTED)
                or (isinstance(n, ast.Name) and n.id in ("current_param_container", "model_params", "params"))
                for n in ast.walk(call.args[0])
            )
            if call.args
            else False
        )
    return name in _KEEPS_SIZE and any(_is_size(source, argument, sized) for argument in call.args)


def _telltales(source: Source, expression: ast.AST) -> list[int | float]:
    """Numbers in a constant expression that are large enough to name a model."""
    if not source.is_constant(expression):
        return []
    numbers = [n.value for n in ast.walk(expression) if isinstance(n, ast.Constant)]
    found = [n for n in numbers if isinstance(n, int | float) and not isinstance(n, bool) and n >= _SMALLEST_TELLTALE]
    if not found and any(isinstance(n, ast.Name) for n in ast.walk(expression)):
        return _named_telltales(source, expression)
    return found


def _named_telltales(source: Source, expression: ast.AST) -> list[int | float]:
    names = {n.id for n in ast.walk(expression) if isinstance(n, ast.Name)}
    values = [
        node.value
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in names for t in node.targets)
    ]
    return [
        n.value
        for value in values
        for n in ast.walk(value)
        if isinstance(n, ast.Constant) and isinstance(n.value, int | float) and n.value >= _SMALLEST_TELLTALE
    ]


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
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and source.is_workload(node.value) and node.attr in _EVALUATION:
            yield node, f"uses workload.{node.attr}, which is the harness's"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("test/"):
            yield node, f"reads the test result {node.value!r}"
    for imported, path in source.references():
        if path.split(".")[0] in ("workloads", "results", "scoring") and not source.is_own(path):
            yield imported, f"uses {path}, which belongs to the benchmark"
        elif path.startswith("harness.") and not path.startswith(("harness.spec", "harness.interface")):
            yield imported, f"uses {path}; of the harness an entry needs harness.spec alone"
