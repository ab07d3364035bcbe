"""Rules on what belongs to others: modules, the workload, process-wide settings, exceptions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from harness.check.findings import Hit, source_rule
from harness.check.paths import paths_of
from harness.check.shadows import hidden_file
from harness.check.source import Source, matches, words

# ---- what belongs to others ----

_SPEED_SETTINGS = (
    "torch.backends",
    "torch._dynamo.config",
    "torch._inductor.config",
    "torch._functorch.config",
)
"""Settings by which torch trades speed, precision and compile time; no other trial shares the process."""

_SETUP_OF_JAX = (
    "the harness sets jax up, the same for all entries; give dtype and precision where arrays are made and used"
)

_SETTINGS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "give dtype and device where tensors are made",
        words("torch.set_default_dtype torch.set_default_device torch.set_default_tensor_type"),
    ),
    (
        "the harness gives every trial its threads, and the same to all entries",
        words("torch.set_num_threads torch.set_num_interop_threads os.sched_setaffinity os.nice"),
    ),
    (
        "use `with torch.no_grad():` or `with torch.set_grad_enabled(...):` for a block",
        words("torch.set_grad_enabled torch.autograd.set_grad_enabled"),
    ),
    (
        "use `with torch.autograd.set_detect_anomaly(...):` for a block, while debugging",
        words("torch.autograd.set_detect_anomaly"),
    ),
    (
        "the harness sets whether operations are deterministic, the same for all entries",
        words("torch.use_deterministic_algorithms torch.set_deterministic_debug_mode"),
    ),
    (
        _SETUP_OF_JAX,
        words("jax.config.update jax.experimental.enable_x64"),
    ),
    ("`gc.collect()` between steps is fine", words("gc.disable gc.freeze")),
    ("make paths from `__file__`", words("os.chdir")),
    (
        "all entries run under the same",
        words(
            "torch.set_flush_denormal sys.setrecursionlimit sys.setswitchinterval resource.setrlimit locale.setlocale"
        ),
    ),
)
"""Setters, with what to do in place of each kind. Those of warnings and of printing are fine."""


@source_rule(
    "global-settings",
    "error",
    "leaves settings of the process alone: threads, default types, determinism, gradient mode, folders",
    "remove it",
)
def global_settings(source: Source) -> Iterable[Hit]:
    for node, path in source.references:
        instead = next((text for text, setters in _SETTINGS if path in setters), None)
        if instead and not _is_context(source, node):
            yield node, f"{path} changes a setting of the whole process: {instead}"
        elif path in _SEARCH_PATH and not _adds_own_folder(source, node):
            yield node, f"{path} lets imports find what is not the entry's"
    for target, path in _assigned_attributes(source):
        if path.startswith("jax.config."):
            yield target, f"sets {path} for the whole process: {_SETUP_OF_JAX}"


_SEARCH_PATH = frozenset({"sys.path.insert", "sys.path.append", "sys.path.extend", "site.addsitedir"})


def _adds_own_folder(source: Source, node: ast.AST) -> bool:
    call = source.parents.get(node)
    return isinstance(call, ast.Call) and any(map(paths_of(source).is_made_from_file, call.args))


def _is_context(source: Source, node: ast.AST) -> bool:
    """Whether a setter is used as ``with setter(...):``, which ends."""
    call = source.parents.get(node)
    return isinstance(source.parents.get(call) if call else None, ast.withitem)


@source_rule(
    "speed-settings",
    "warning",
    "changes no settings of speed and precision of the framework",
    "see that results mean the same with it, and say in submission_info.yml why it is there",
)
def speed_settings(source: Source) -> Iterable[Hit]:
    for target, path in _assigned_attributes(source):
        if path.startswith(_SPEED_SETTINGS):
            yield target, f"sets {path}"
    for node, path in source.references:
        if path == "torch.set_float32_matmul_precision":
            yield node, f"calls {path}"


_PATCHERS = frozenset({"unittest.mock.patch", "unittest.mock.patch.*", "pytest.MonkeyPatch", "pytest.MonkeyPatch.*"})


@source_rule(
    "patches",
    "error",
    "replaces nothing in imported modules, in their classes, or in the workload",
    "write a function or class of its own and call that; of lists and dicts that the harness gives, change a copy",
)
def patches(source: Source) -> Iterable[Hit]:
    for target, path in _assigned_attributes(source):
        if not path.startswith((*_SPEED_SETTINGS, "jax.config.")):
            yield target, f"assigns to {path}"
    for used, path in source.references:
        if matches(path, _PATCHERS):
            yield used, f"uses {path}"
    for node in source.nodes:
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            if _is_of_the_workload(source, node.value) or source.is_workload(node.value):
                yield node, f"assigns to {ast.unparse(node)}"
        elif isinstance(node, ast.Call):
            yield from _patching_call(source, node)


def _is_of_the_workload(source: Source, node: ast.AST) -> bool:
    """``workload.x``, ``workload.x[...]``, ``type(workload)``, ``workload.__dict__``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
        if source.is_workload(node):
            return True
    return (
        isinstance(node, ast.Call)
        and bool(node.args)
        and source.is_workload(node.args[0])
        and (isinstance(node.func, ast.Name) and node.func.id in ("type", "vars"))
    )


_SETTING = words("builtins.setattr builtins.delattr builtins.vars builtins.__setattr__ builtins.__delattr__")
_MUTATING = words("clear update pop popitem setdefault append extend insert remove sort reverse")
_KEPT = frozenset({"eval_results", "current_params_types", "model_params_types"})
"""Arguments that the harness keeps and gives to every call."""


def _patching_call(source: Source, node: ast.Call) -> Iterator[Hit]:
    if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATING:
        holder = node.func.value
        kept = isinstance(holder, ast.Name) and holder.id in _KEPT
        if kept or (isinstance(holder, ast.Attribute) and source.is_workload(holder.value)):
            yield node, f"changes {ast.unparse(holder)}"
    name = source.dotted(node.func)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("__setattr__", "__delattr__"):  # object.__setattr__
        name = f"builtins.{node.func.attr}"
    if name not in _SETTING or not node.args:
        return
    target = node.args[0]
    path = source.dotted(target)
    foreign = path is not None and not source.is_own(path) and not path.startswith("builtins.")
    if source.is_workload(target) or _is_of_the_workload(source, target) or (foreign and name != "builtins.vars"):
        yield node, f"{name.removeprefix('builtins.')} on {ast.unparse(target)}"


def _assigned_attributes(source: Source) -> Iterator[tuple[ast.expr, str]]:
    """Targets of assignments that lie in an imported module, with their full path."""
    for node in source.nodes:
        if not isinstance(node, ast.Attribute | ast.Subscript) or not isinstance(node.ctx, ast.Store | ast.Del):
            continue
        holder = node if isinstance(node, ast.Attribute) else _without_vars(node.value)
        path = source.dotted(holder)
        base = holder.value if isinstance(holder, ast.Attribute) else holder
        if path is None or source.is_own(path) or path.startswith("os.environ"):
            continue
        if isinstance(base, ast.Name | ast.Attribute) and _is_imported(source, base):
            yield node, path


def _without_vars(node: ast.expr) -> ast.expr:
    """``torch`` for ``vars(torch)``."""
    match node:
        case ast.Call(func=ast.Name(id="vars"), args=[held]):
            return held
    return node


def _is_imported(source: Source, node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in source.imported


@source_rule(
    "hidden-file",
    "error",
    "has no file that Python's own module of the same name hides",
    "rename the file, or import it with a leading dot: an import by this name takes Python's own module",
)
def hidden_files(source: Source) -> Iterable[Hit]:
    for used, path in source.references:
        file = hidden_file(source.layout, path)
        if file is not None:
            yield used, f"uses {path}: Python's own module {path.partition('.')[0]} hides the entry's {file.name}"


# ---- exceptions ----

_BROAD = frozenset({"builtins.Exception", "builtins.BaseException"})


@source_rule(
    "swallows",
    "error",
    "lets errors of its own step and of the harness through",
    "name the exceptions that are expected, or raise again at the end of the handler",
)
def swallows(source: Source) -> Iterable[Hit]:
    for node in source.nodes:
        if isinstance(node, ast.Try | ast.TryStar) and any(_is_training(source, part) for part in node.body):
            for handler in node.handlers:
                raises = any(isinstance(n, ast.Raise) for statement in handler.body for n in ast.walk(statement))
                if _is_broad(source, handler) and not raises:
                    yield handler, "catches every exception around a training step and goes on"
            yield from (
                (leaving, "leaves a `finally` and drops the exception") for leaving in _leavings(node.finalbody)
            )
        elif isinstance(node, ast.With) and _suppresses_training(source, node):
            yield node, "suppresses every exception around a training step"


def _leavings(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Returns out of a ``finally``, which end whatever exception is on its way."""
    for statement in body:
        if isinstance(statement, ast.Return):
            yield statement
        elif not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from _leavings([n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.stmt)])


def _suppresses_training(source: Source, node: ast.With) -> bool:
    suppressed = any(_suppresses_all(source, item.context_expr) for item in node.items)
    return suppressed and any(_is_training(source, part) for part in node.body)


def _suppresses_all(source: Source, context: ast.expr) -> bool:
    made = [context, *source.values_of.get(ast.unparse(context), ())]  # with safe: ...
    calls = [call for call in made if isinstance(call, ast.Call) and source.dotted(call.func) == "contextlib.suppress"]
    return any(source.dotted(kind) in _BROAD for call in calls for kind in call.args)


def _is_broad(source: Source, handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(source.dotted(kind) in _BROAD for kind in kinds)


_STEP_ARGUMENTS = frozenset({"batch", "current_param_container", "loss"})


def _is_training(source: Source, statement: ast.stmt) -> bool:
    """Whether a statement uses the queue, or calls the workload, a backward pass, an optimizer or the entry's step."""
    nodes = list(ast.walk(statement))
    drawn = any(isinstance(node, ast.Name) and node.id == "input_queue" for node in nodes)
    return drawn or any(isinstance(node, ast.Call) and _is_step(source, node) for node in nodes)


def _is_step(source: Source, call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute) and (call.func.attr == "backward" or source.is_workload(call.func.value)):
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {node.id for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Name)}
    return name == "step" or ("step" in name and bool(given & _STEP_ARGUMENTS))
