"""Rules on randomness, and on what belongs to others: modules, the workload, process-wide settings, exceptions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator

from harness.check.findings import Hit, source_rule
from harness.check.names import Names, bindings, parts
from harness.check.paths import paths_of
from harness.check.shadows import hidden_file
from harness.check.source import Source, matches, words

# ---- randomness ----

_MAKERS = words(
    """
    numpy.random.RandomState numpy.random.default_rng numpy.random.SeedSequence numpy.random.seed random.seed
    numpy.random.PCG64 numpy.random.PCG64DXSM numpy.random.Philox numpy.random.MT19937 numpy.random.SFC64
    random.Random torch.manual_seed torch.random.manual_seed torch.cuda.manual_seed torch.cuda.manual_seed_all
    jax.random.PRNGKey jax.random.key flax.nnx.Rngs
    """
)
"""What makes or seeds a generator, and is fine with a seed that comes from ``rng``."""

_PRIVATE = words("numpy.random.RandomState numpy.random.default_rng random.Random")
"""Makers of a generator that nobody else draws from: with a constant for a seed it is a table of numbers."""

_GLOBAL = frozenset({"numpy.random.*", "random.*", "torch.seed", "torch.random.seed", "torch.initial_seed"})
_GLOBAL_SEEDS = frozenset({"numpy.random.seed", "random.seed"})
_NO_DRAW = frozenset({"numpy.random.Generator", "numpy.random.BitGenerator", "numpy.random.bit_generator"})
_ENTROPY = frozenset({"os.urandom", "os.getrandom", "uuid.*", "secrets.*", "random.SystemRandom"})


@source_rule(
    "randomness",
    "error",
    "draws random numbers from the rng it is given, and from nothing else",
    "seed it from the function's rng argument (jax: split rng; torch: a torch.Generator seeded from rng)",
)
def randomness(source: Source) -> Iterable[Hit]:
    for node, path, arguments in _uses(source):
        if source.is_own(path) or path in _NO_DRAW:
            continue
        if matches(path, _ENTROPY):
            yield node, f"{path} gives other numbers in every run"
        elif path in _MAKERS:
            if _fixed(source, arguments) and not (arguments and path in _PRIVATE):
                yield node, f"{path} is seeded by {_how(source, arguments)}, not by the trial"
        elif matches(path, _GLOBAL) and arguments is not None and not _draws_what_was_seeded(source, path):
            yield node, f"{path} {_UNSEEDED}"
    yield from _constant_seeds(source)


_UNSEEDED = "draws from a global generator that the entry seeds nowhere from rng"


def _draws_what_was_seeded(source: Source, path: str) -> bool:
    """Whether one of the entry's files seeds the generator from ``rng``. The harness saves its state in checkpoints."""
    return any(path.startswith(seed.removesuffix("seed")) for each in source.siblings for seed in _seeded(each))


@functools.lru_cache(maxsize=64)
def _seeded(source: Source) -> frozenset[str]:
    """Functions that seed a global generator and are given something of ``rng`` in a file."""
    uses = [(path, arguments) for _, path, arguments in _uses(source) if path in _GLOBAL_SEEDS]
    return frozenset(path for path, arguments in uses if arguments and not _fixed(source, arguments))


@source_rule(
    "fixed-numbers",
    "warning",
    "draws nothing that should differ between trials from a generator with a constant seed",
    "leave it where the numbers are only a fixed start (of a power iteration, say), else seed it from rng",
)
def fixed_numbers(source: Source) -> Iterable[Hit]:
    for node, path, arguments in _uses(source):
        if path in _PRIVATE and arguments and _fixed(source, arguments):
            yield node, f"{path} gives the same numbers in every trial"


def _uses(source: Source) -> Iterator[tuple[ast.expr, str, list[ast.expr] | None]]:
    """What a file refers to, with the arguments that make a generator; None where it is not called."""
    for node, path in source.references:
        call = source.parents.get(node)
        yield node, path, _arguments(call) if isinstance(call, ast.Call) and call.func is node else None


def _fixed(source: Source, arguments: list[ast.expr] | None) -> bool:
    """Whether a seed is the same in every trial: made from constants, the step and hyperparameters alone."""
    return arguments is not None and all(_same_in_trials(source, argument, _known(source)) for argument in arguments)


def _how(source: Source, arguments: list[ast.expr] | None) -> str:
    if not arguments:
        return "the machine's entropy"
    constant = all(map(source.is_constant, arguments))
    return "a constant" if constant else "what all trials have in common (the step, hyperparameters, constants)"


@functools.lru_cache(maxsize=64)
def _known(source: Source) -> Names:
    """Names that hold the step, hyperparameters, and what is made from nothing else."""
    names = Names(source.scopes, {"global_step", "hyperparameters"})
    held: dict[tuple[ast.AST | None, str], tuple[ast.AST, list[ast.expr]]] = {}
    for target, value in (*bindings(source.tree), *parts(source.tree)):
        held.setdefault((next(source.scopes(target)), ast.unparse(target)), (target, []))[1].append(value)
    pairs = [(target, ast.Tuple(values)) for target, values in held.values()]
    names.spread(pairs, lambda _, values: _same_in_trials(source, values, names))
    return names


def _same_in_trials(source: Source, expression: ast.expr, known: Names) -> bool:
    nodes = list(ast.walk(expression))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    functions = {id(inner) for call in calls for inner in ast.walk(call.func)}
    names = [node for node in nodes if isinstance(node, ast.Name) and id(node) not in functions]
    plain = all(call.args and _is_plain(source, call.func) for call in calls)
    return plain and all(name in known or name.id in source.constants for name in names)


def _is_plain(source: Source, function: ast.expr) -> bool:
    """Whether a function is a builtin, or one of the file that has nothing of ``rng``."""
    own = source.functions.get(getattr(function, "id", ""), ())
    drawn = any(isinstance(n, ast.Name) and "rng" in n.id for each in own for n in ast.walk(each))
    return bool(own or (source.dotted(function) or "").startswith("builtins.")) and not drawn


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg not in ("impl", "dtype"))]


def _constant_seeds(source: Source) -> Iterator[Hit]:
    """``generator.manual_seed(0)``, ``torch.Generator().seed()``."""
    for node in source.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if source.dotted(node.func) is None and node.func.attr == "manual_seed":
            if _fixed(source, node.args):
                yield node, f"a generator is seeded by {_how(source, node.args)}, not by the trial"
        elif source.dotted(node.func) is None and node.func.attr == "seed" and not node.args:
            yield node, "a generator is seeded by the machine's entropy, not by the trial"
        elif node.func.attr == "rvs" and not (
            any(keyword.arg == "random_state" for keyword in node.keywords)
            or _draws_what_was_seeded(source, "numpy.random.rvs")
        ):
            yield node, _UNSEEDED


# ---- what belongs to others ----

_SPEED_SETTINGS = (
    "torch.backends",
    "torch._dynamo.config",
    "torch._inductor.config",
    "torch._functorch.config",
)
"""Settings by which torch trades speed, precision and compile time; no other trial shares the process."""

_SETTERS = words(
    """
    torch.set_num_threads torch.set_num_interop_threads torch.set_default_dtype torch.set_default_device
    torch.set_default_tensor_type torch.use_deterministic_algorithms torch.set_deterministic_debug_mode
    torch.set_grad_enabled torch.autograd.set_detect_anomaly torch.set_flush_denormal
    torch.autograd.set_grad_enabled torch.set_warn_always torch.set_printoptions numpy.seterr numpy.set_printoptions
    jax.config.update jax.experimental.enable_x64 sys.setrecursionlimit sys.setswitchinterval os.sched_setaffinity
    os.nice os.chdir resource.setrlimit gc.disable gc.freeze warnings.simplefilter warnings.filterwarnings
    locale.setlocale
    """
)
_HARMLESS_SETTERS = frozenset(
    [
        "warnings.simplefilter",
        "warnings.filterwarnings",
        "torch.set_printoptions",
        "numpy.set_printoptions",
        "torch.set_warn_always",
        "numpy.seterr",
    ]
)


@source_rule(
    "global-settings",
    "error",
    "leaves settings of the process alone: threads, default types, determinism, gradient mode, folders",
    "remove it; give dtype and device where tensors are made, and use `with torch.no_grad():` for a block",
)
def global_settings(source: Source) -> Iterable[Hit]:
    for node, path in source.references:
        if path in _SETTERS - _HARMLESS_SETTERS and not _is_context(source, node):
            yield node, f"{path} changes a setting of the whole process"
        elif path in _SEARCH_PATH and not _adds_own_folder(source, node):
            yield node, f"{path} lets imports find what is not the entry's"
    for target, path in _assigned_attributes(source):
        if path.startswith("jax.config."):
            yield target, f"sets {path} for the whole process"


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
