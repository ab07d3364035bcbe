"""What an entry holds: in its state, beside its parameters and in its modules; what of it a checkpoint loses, and which
tensors keep the graph of a step alive."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.trial import TrainingLoop

_DEEPEST = 7
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_PASSED_OVER = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
Leaf = tuple[str, Any]
"""A value, and the expression by which it is reached."""


def leaves(value: Any, path: str, depth: int = 0) -> Iterator[Leaf]:
    """Arrays and plain values below a value, and the lengths of lists."""
    if isinstance(value, _PLAIN) or _is_array(value):
        yield path, value
    elif isinstance(value, _PASSED_OVER) or depth > _DEEPEST:
        return
    elif isinstance(value, Mapping):
        yield from _of_mapping(value, path, depth)
    elif isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        yield path, len(value)
        yield from _of_all(((f"{path}[{i}]", item) for i, item in enumerate(value)), depth)
    else:
        with contextlib.suppress(TypeError):
            yield from _of_all(((f"{path}.{name}", item) for name, item in vars(value).items()), depth)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _of_mapping(value: Mapping[Any, Any], path: str, depth: int) -> Iterator[Leaf]:
    """Keys that are objects (a torch optimizer has its parameters for keys) are told by their places."""
    keys = [repr(key) if isinstance(key, _PLAIN) else str(i) for i, key in enumerate(value)]
    yield from _of_all(((f"{path}[{key}]", item) for key, item in zip(keys, value.values(), strict=True)), depth)


def _of_all(items: Iterator[Leaf], depth: int) -> Iterator[Leaf]:
    for path, item in items:
        yield from leaves(item, path, depth + 1)


# ---- what a checkpoint loses ----


def lost(before: TrainingLoop, after: TrainingLoop, folder: Path | None) -> str:
    """What is not as it was in a loop that goes on from another's checkpoint; empty where nothing is found."""
    for holding in _HELD:
        now = dict(holding(after, folder))
        paths = [path for path, value in holding(before, folder) if not _same(value, now.get(path))]
        if paths:  # what others can name comes before what is a library's own
            return min(paths, key=lambda path: holding is _of_state and "._" in path)
    return ""


def _of_state(loop: TrainingLoop, folder: Path | None) -> Iterator[Leaf]:
    return leaves(loop.optimizer_state, "optimizer_state")


def _beside_parameters(loop: TrainingLoop, folder: Path | None) -> Iterator[Leaf]:
    for name, parameter in _named(loop):
        yield from _of_all(((f"{name}.{key}", value) for key, value in vars(parameter).items()), 0)


def _of_modules(loop: TrainingLoop, folder: Path | None) -> Iterator[Leaf]:
    for name, namespace in _namespaces(loop, folder):
        own = {key: value for key, value in namespace.items() if not key.startswith("__")}
        yield from _of_all(((f"{name}.{key}", value) for key, value in own.items()), 0)


def _gradients(loop: TrainingLoop, folder: Path | None) -> Iterator[Leaf]:
    yield from ((f"{name}.grad", parameter.grad) for name, parameter in _named(loop))


_HELD: Sequence[Callable[[TrainingLoop, Path | None], Iterator[Leaf]]] = (
    _of_state,
    _beside_parameters,
    _of_modules,
    _gradients,
)
"""Places where a step may find what an earlier one left; the likeliest to be meant comes first."""


def _named(loop: TrainingLoop) -> list[tuple[str, Any]]:
    named = getattr(loop.params, "named_parameters", None)
    return list(named()) if named else []


def _namespaces(loop: TrainingLoop, folder: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Globals of the entry's modules that its functions reach."""
    waiting = [getattr(function, "__wrapped__", function) for function in vars(loop.functions).values()]
    seen: set[int] = set()
    while waiting:
        namespace = _namespace(waiting.pop(0))
        file = namespace.get("__file__") or ""
        if id(namespace) in seen or folder is None or not Path(file).is_relative_to(folder):
            continue
        seen.add(id(namespace))
        waiting += list(namespace.values())
        yield Path(file).stem, namespace


def _namespace(value: Any) -> dict[str, Any]:
    if isinstance(value, types.ModuleType):
        return vars(value)
    return value.__globals__ if isinstance(value, types.FunctionType) else {}


def _same(a: Any, b: Any) -> bool:
    """Values that cannot be compared are not said to differ."""
    try:
        if hasattr(a, "detach") and hasattr(b, "detach"):
            return bool(a.shape == b.shape and ((a == b) | ((a != a) & (b != b))).all())
        return bool(np.array_equal(a, b, equal_nan=_is_array(a) and np.asarray(a).dtype.kind == "f") or a is b)
    except Exception:
        return True


# ---- graphs ----


def graph(tree: Any) -> tuple[str, int]:
    """The first tensor of torch below ``optimizer_state`` that keeps a graph, and how many operations all such keep."""
    kept = [(path, value) for path, value in leaves(tree, "optimizer_state") if getattr(value, "grad_fn", None)]
    waiting = [value.grad_fn for _, value in kept]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    return (kept[0][0] if kept else ""), len(seen)
