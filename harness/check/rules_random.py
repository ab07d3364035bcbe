"""Rules on randomness: what an entry draws comes from the ``rng`` that it is given."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator

from harness.check.findings import Hit, source_rule
from harness.check.names import Names, arguments_of, bindings, given, parameters, parts, passed, returned
from harness.check.source import Source, matches, words

_MAKERS = words(
    """
    numpy.random.RandomState numpy.random.default_rng numpy.random.SeedSequence numpy.random.seed random.seed
    numpy.random.PCG64 numpy.random.PCG64DXSM numpy.random.Philox numpy.random.MT19937 numpy.random.SFC64
    random.Random torch.manual_seed torch.random.manual_seed torch.cuda.manual_seed torch.cuda.manual_seed_all
    torch.default_generator.manual_seed jax.random.PRNGKey jax.random.key flax.nnx.Rngs
    """
)
"""What makes or seeds a generator, and is fine with a seed that comes from ``rng``."""

_PRIVATE = words("numpy.random.RandomState numpy.random.default_rng random.Random")
"""Makers of a generator that nobody else draws from: with a constant for a seed it is a table of numbers."""

_KEYS = words("jax.random.PRNGKey jax.random.key")

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
            if _fixed(source, arguments) and not _is_a_table(source, node, path, arguments):
                yield node, f"{path} is seeded by {_how(source, arguments)}, not by the trial"
        elif matches(path, _GLOBAL) and arguments is not None and not _draws_what_was_seeded(source, path):
            yield node, f"{path} {_UNSEEDED}"
    yield from (hit for hit, is_start in _constant_seeds(source) if not is_start)


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
        if path in _MAKERS and _fixed(source, arguments) and _is_a_table(source, node, path, arguments):
            yield node, f"{path} gives the same numbers in every trial"
    yield from (hit for hit, is_start in _constant_seeds(source) if is_start)


def _is_a_table(source: Source, node: ast.AST, path: str, arguments: list[ast.expr] | None) -> bool:
    """Whether what a fixed seed makes can be a fixed start: a private generator, and a key of jax that takes nowhere
    the place of ``rng``."""
    if path not in _KEYS:
        return bool(arguments) and path in _PRIVATE
    call = source.parents[node]
    return bool(arguments) and all(map(source.is_constant, arguments or ())) and not _replaces_rng(source, call)


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


def _constant_seeds(source: Source) -> Iterator[tuple[Hit, bool]]:
    """``generator.manual_seed(0)``, ``torch.Generator().seed()``, and whether it is a fixed start at most."""
    for node in source.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if source.dotted(node.func) is None and node.func.attr == "manual_seed":
            if _fixed(source, node.args):
                own = source.is_made_by(node.func.value, _GENERATORS)
                if own and node.args and all(map(source.is_constant, node.args)):
                    yield (node, "torch.Generator gives the same numbers in every trial"), True
                else:
                    text = f"a generator is seeded by {_how(source, node.args)}, not by the trial"
                    yield (node, text), False
        elif source.dotted(node.func) is None and node.func.attr == "seed" and not node.args:
            yield (node, "a generator is seeded by the machine's entropy, not by the trial"), False
        elif node.func.attr == "rvs" and not (
            any(keyword.arg == "random_state" for keyword in node.keywords)
            or _draws_what_was_seeded(source, "numpy.random.rvs")
        ):
            yield (node, _UNSEEDED), False


_GENERATORS = frozenset({"torch.Generator"})


# ---- keys in the place of rng ----


def _replaces_rng(source: Source, key: ast.AST) -> bool:
    """Whether a key is given to the workload, is called ``rng`` where that is an argument, or is folded with the
    step."""
    held = Names(source.scopes)

    def holds(node: ast.AST) -> bool:
        match node:
            case ast.Subscript(value=value) | ast.Starred(value=value):
                return holds(value)
            case ast.IfExp(body=one, orelse=other):
                return holds(one) or holds(other)
            case ast.Call(args=[first, *_]) if source.dotted(node.func) in _DERIVED and node is not key:
                return holds(first) and not _folds_rng_in(source, node)
            case ast.Call(func=function) if function in held:  # what returns a key
                return True
        return node is key or node in held

    known = parameters(source.tree)
    for target, value in bindings(source.tree):  # step = jax.jit(train_step)
        if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Name):
            known.setdefault(ast.unparse(target), known.get(value.args[0].id, []))
    pairs = [*bindings(source.tree), *parts(source.tree), *passed(source.tree), *given(source.tree, known)]
    pairs += [(function, value) for function, values in returned(source.tree) for value in values]
    held.spread(pairs, lambda _, value: holds(value))
    named = (target for target, value in pairs if isinstance(target, ast.Name) and target.id == "rng" and holds(value))
    if any("rng" in arguments_of(scope) for target in named for scope in source.scopes(target) if scope):
        return True
    calls = [node for node in source.nodes if isinstance(node, ast.Call)]
    return any(_uses_as_rng(source, call) and any(map(holds, _values(call))) for call in calls)


_DERIVED = words("jax.random.split jax.random.fold_in jax.random.clone jax.random.key_data jax.random.wrap_key_data")


def _folds_rng_in(source: Source, call: ast.Call) -> bool:
    """``fold_in(key, rng[0])``, and whatever else may differ between trials."""
    folds = source.dotted(call.func) == "jax.random.fold_in"
    return folds and not all(_same_in_trials(source, value, _known(source)) for value in call.args[1:])


def _uses_as_rng(source: Source, call: ast.Call) -> bool:
    """``workload.model_fn(...)``, ``partial(workload.model_fn, ...)``, ``fold_in(..., global_step)``."""
    for called in (call.func, *call.args[:1]):
        if isinstance(called, ast.Attribute) and source.is_workload(called.value):
            return True
    steps = call.args[1:2] if source.dotted(call.func) == "jax.random.fold_in" else []
    return any(not source.is_constant(step) and _same_in_trials(source, step, _known(source)) for step in steps)


def _values(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]
