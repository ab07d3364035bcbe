"""A trial's parameters, model state and optimizer state in both frameworks: to bytes, and back into a fresh start.

What a submission keeps is a tree of dicts, lists, tuples and leaves. A leaf with ``state_dict`` is saved by it; a
function is taken from the fresh start, as AlgoPerf does it; everything else is pickled. Parameters inside pickled
objects are saved as references, so that they are the fresh start's parameters afterwards.
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Callable, Mapping
from typing import Any

_ABSENT = object()


class CannotSaveError(Exception):
    """Something in the state cannot be written to a checkpoint, or made again from it."""


def save_training(params: Any, model_state: Any, optimizer_state: Any) -> tuple[Any, Any]:
    """What training has made so far, without any live object.

    Raises:
      CannotSaveError: names the place in it.
    """
    return save((params, model_state), params, "parameters"), save(optimizer_state, params)


def restore_training(saved: tuple[Any, Any], params: Any, model_state: Any, optimizer_state: Any) -> tuple[Any, ...]:
    """``(params, model_state, optimizer_state)`` as saved, made from those of a fresh start.

    Raises:
      CannotSaveError: a fresh start has nothing in the place of a function or an object.
    """
    params, model_state = restore(saved[0], (params, model_state), params, "parameters")
    return params, model_state, restore(saved[1], optimizer_state, params)


def save(tree: Any, parameters: Any, path: str = "optimizer_state") -> Any:
    """A description of the tree without any live object: nested tuples of a kind and bytes or children.

    Raises:
      CannotSaveError: names the place in the tree.
    """
    if isinstance(tree, Mapping):
        return "mapping", {key: save(value, parameters, f"{path}[{key!r}]") for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        children = [save(value, parameters, f"{path}[{i}]") for i, value in enumerate(tree)]
        return "sequence", (type(tree), children)
    if hasattr(tree, "state_dict") and hasattr(tree, "load_state_dict"):
        return "stateful", (_dump(tree.state_dict(), parameters, path), _pickled_or_none(tree, parameters))
    if callable(tree) or isinstance(tree, types.ModuleType):
        return "fresh", None
    return "leaf", _dump(tree, parameters, path)


def restore(saved: Any, fresh: Any, parameters: Any, path: str = "optimizer_state") -> Any:
    """The tree that was saved, made from a fresh start's tree where that has the same place.

    Raises:
      CannotSaveError: a fresh start has nothing in the place of a function or an object.
    """
    kind, content = saved
    return _RESTORERS[kind](content, fresh, parameters, path)


def _restore_mapping(content: Mapping[Any, Any], fresh: Any, parameters: Any, path: str) -> Any:
    found = {key: restore(value, _child(fresh, key), parameters, f"{path}[{key!r}]") for key, value in content.items()}
    return found if not isinstance(fresh, Mapping) or type(fresh) is dict else _as_type(type(fresh), found)


def _as_type(cls: type, found: dict[Any, Any]) -> Any:
    try:
        return cls(found)
    except TypeError:
        return found


def _restore_sequence(content: tuple[type, list[Any]], fresh: Any, parameters: Any, path: str) -> Any:
    cls, children = content
    found = [restore(value, _child(fresh, i), parameters, f"{path}[{i}]") for i, value in enumerate(children)]
    if type(fresh).__name__ == cls.__name__:
        cls = type(fresh)  # a module that was loaded again has classes of its own
    return cls(*found) if hasattr(cls, "_fields") else cls(found)


def _restore_stateful(content: tuple[bytes, bytes | None], fresh: Any, parameters: Any, path: str) -> Any:
    state, whole = content
    if fresh is not _ABSENT and hasattr(fresh, "load_state_dict"):
        loaded = _load(state, parameters)
        fresh.load_state_dict(loaded)
        _undo_rounding(fresh, loaded)
        return fresh
    if whole is None:
        raise CannotSaveError(f"{path} cannot be pickled, and a fresh start has nothing there to load its state into")
    return _load(whole, parameters)


def _undo_rounding(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Gives tensors of a torch optimizer's state the type they had: loading casts them to their parameter's."""
    if not hasattr(optimizer, "param_groups") or not hasattr(optimizer, "state"):
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values = state.get("state") or {}  # an optimizer around another one may nest them
    for index, parameter in enumerate(parameters):
        for name, value in values.get(index, {}).items():
            now = optimizer.state[parameter].get(name)
            if hasattr(value, "dtype") and hasattr(now, "dtype") and value.dtype != now.dtype:
                optimizer.state[parameter][name] = value


def _restore_fresh(content: None, fresh: Any, parameters: Any, path: str) -> Any:
    if fresh is _ABSENT or not (callable(fresh) or isinstance(fresh, types.ModuleType)):
        raise CannotSaveError(f"{path} is a function that init_optimizer_state does not make")
    return fresh


def _restore_leaf(content: bytes, fresh: Any, parameters: Any, path: str) -> Any:
    value = _load(content, parameters)
    if getattr(fresh, "committed", False) and hasattr(value, "sharding"):  # a jax array that was placed on purpose
        import jax

        return jax.device_put(value, fresh.sharding)
    return value


_RESTORERS: Mapping[str, Callable[[Any, Any, Any, str], Any]] = {
    "mapping": _restore_mapping,
    "sequence": _restore_sequence,
    "stateful": _restore_stateful,
    "fresh": _restore_fresh,
    "leaf": _restore_leaf,
}


def _child(tree: Any, key: Any) -> Any:
    if tree is _ABSENT:
        return _ABSENT
    if isinstance(tree, Mapping):
        return tree.get(key, _ABSENT)
    if isinstance(tree, tuple | list) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return _ABSENT


# ---- bytes ----


def _named(parameters: Any) -> dict[str, Any]:
    """Parameters that have an identity of their own: those of a module; a tree of arrays has none."""
    return dict(parameters.named_parameters()) if hasattr(parameters, "named_parameters") else {}


def _dump(value: Any, parameters: Any, path: str) -> bytes:
    names = {id(tensor): name for name, tensor in _named(parameters).items()}
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.persistent_id = lambda obj: names.get(id(obj))  # type: ignore[method-assign]
    try:
        pickler.dump(value)
    except Exception as error:
        raise CannotSaveError(f"{path} ({type(value).__name__}) cannot be saved: {error}") from error
    return buffer.getvalue()


def _pickled_or_none(value: Any, parameters: Any) -> bytes | None:
    try:
        return _dump(value, parameters, "")
    except CannotSaveError:
        return None


def _load(data: bytes, parameters: Any) -> Any:
    tensors = _named(parameters)
    unpickler = pickle.Unpickler(io.BytesIO(data))
    unpickler.persistent_load = lambda name: tensors[name]  # type: ignore[method-assign]
    return unpickler.load()
