"""What of torch's a checkpoint treats in its own way: the model, tensors that share memory, optimizers.

The model is the fresh start's, with the saved values. Values lie in storages, which several tensors may share: each is
saved once, and where it was a parameter's, it is the fresh parameter's afterwards. torch need not be there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

Key = tuple[str, str]
_PLAIN = (bool, int, float, str, type(None))
_HOOKED = ("step", "state_dict", "load_state_dict")
_HOOKS = (f"_optimizer_{name}_{when}_hooks" for name in _HOOKED for when in ("pre", "post"))
_KEPT_BY_OPTIMIZERS = (*_HOOKS, "_zero_grad_profile_name", "step")
_KEPT_BY_MODULES = ("_compiled_call_impl",)
"""Attributes that belong to a process: hooks, what a schedule puts over an optimizer's ``step``, compiled code."""
_WRAPPERS = ("torch._dynamo.", "torch.nn.parallel.", "torch.distributed.")


class ModelError(Exception):
    """The fresh start's model is not the one that was saved."""


class Storage:
    """A tensor's memory while it is saved. ``owner``: whose memory in a fresh start it becomes, if any."""

    def __init__(self, storage: Any, owner: Any = None) -> None:
        self.storage, self.owner = storage, owner


# ---- the model ----


def members(model: Any) -> dict[Key, Any]:
    """The model, its modules, parameters and buffers: what has an identity. A tree of arrays has nothing."""
    if not hasattr(type(model), "named_parameters"):
        return {}
    found: dict[Key, Any] = {("module", name): module for name, module in model.named_modules()}
    found |= {("parameter", name): tensor for name, tensor in model.named_parameters()}
    return found | {("buffer", name): tensor for name, tensor in model.named_buffers()}


def values_of(model: Any) -> dict[Key, Any]:
    """What is saved of each: of tensors their value, gradient and whether they are trained; of modules plain settings,
    as ``training`` or a dropout rate; and what an entry keeps in their attributes."""
    return {key: _module_values(obj) if key[0] == "module" else _tensor_values(obj) for key, obj in _items(model)}


def set_values(model: Any, values: Mapping[Key, Any]) -> None:
    """
    Raises:
      ModelError: the model has other members, or other shapes.
    """
    found = members(model)
    for key, value in values.items():
        if key not in found:
            raise ModelError(f"the model of a fresh start has no {key[0]} {key[1]!r}")
        if key[0] == "module":
            _set_module_values(found[key], value)
        else:
            _set_tensor_values(key, found[key], *value)


def storages_of(model: Any) -> dict[int, Storage]:
    """Of the model's tensors, by the storage's address."""
    found: dict[int, Storage] = {}
    for (kind, _), tensor in _items(model):
        if kind != "module" and is_plain(tensor):
            storage = tensor.untyped_storage()
            found.setdefault(storage._cdata, Storage(storage, tensor))
    return found


def _items(model: Any) -> Iterator[tuple[Key, Any]]:
    yield from members(model).items()


def _module_values(module: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN)}


def _set_module_values(module: Any, values: Mapping[str, Any]) -> None:
    now = _module_values(module)
    for name, value in values.items():
        if name not in now or now[name] != value:  # a compiled model looks at who writes
            vars(module)[name] = value


def _tensor_values(tensor: Any) -> tuple[Any, bool, Any, dict[str, Any]]:
    kept = {name: value for name, value in vars(tensor).items() if isinstance(value, _PLAIN) or is_tensor(value)}
    return tensor.detach(), tensor.requires_grad, tensor.grad if tensor.is_leaf else None, kept


def _set_tensor_values(key: Key, tensor: Any, value: Any, trained: bool, grad: Any, kept: Mapping[str, Any]) -> None:
    if tensor.shape != value.shape or tensor.dtype != value.dtype:
        raise ModelError(f"{key[0]} {key[1]!r} has shape {tuple(value.shape)}, a fresh start's {tuple(tensor.shape)}")
    if not _is_same_memory(tensor, value):
        tensor.data = value
    if tensor.is_leaf:
        tensor.requires_grad_(trained)
        tensor.grad = grad
    vars(tensor).update(kept)


# ---- tensors ----


def is_tensor(obj: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(obj, torch.Tensor)


def is_plain(obj: Any) -> bool:
    """Whether a tensor is a place in a storage and nothing else."""
    torch = sys.modules.get("torch")
    return (
        torch is not None
        and type(obj) in (torch.Tensor, torch.nn.Parameter)
        and obj.layout is torch.strided
        and obj.device.type != "meta"
        and not (obj.is_quantized or obj.is_conj() or obj.is_neg())
        and obj.grad_fn is None
    )


def bytes_of(storage: Any) -> bytes:
    import torch

    return bytes(torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage).cpu().numpy())


def storage_from(data: bytes, device: str, like: Any) -> Any:
    """A storage with the bytes: that of the tensor ``like``, if it has the size. Memory from torch, aligned as ever."""
    import torch

    reuse = is_plain(like) and like.untyped_storage().nbytes() == len(data) and str(like.device) == device
    target = torch.empty(0 if reuse else len(data), dtype=torch.uint8, device=device)
    if reuse:
        target.set_(like.untyped_storage())
    if data:
        target.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    return target.untyped_storage()


def layout_of(tensor: Any) -> tuple[Any, ...]:
    return tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def tensor_from(storage: Any, layout: tuple[Any, ...], trained: bool, is_parameter: bool, like: Any) -> Any:
    """A tensor in the storage: the tensor ``like``, if it is that place."""
    import torch

    dtype, offset, shape, stride = layout
    tensor = torch.empty(0, dtype=dtype, device=storage.device).set_(storage, offset, shape, stride)
    if is_plain(like) and isinstance(like, torch.nn.Parameter) is is_parameter and _is_same_memory(like, tensor):
        return like.requires_grad_(trained)
    return torch.nn.Parameter(tensor, trained) if is_parameter else tensor.requires_grad_(trained)


def is_held_by_module(obj: Any, place: tuple[Any, ...]) -> bool:
    """Whether a tensor is changed in place, so that others may look at it: a parameter, or a module's buffer."""
    torch = sys.modules.get("torch")
    return torch is not None and (isinstance(obj, torch.nn.Parameter) or ("attribute", "_buffers") in place[-2:])


def _is_same_memory(a: Any, b: Any) -> bool:
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata and layout_of(a) == layout_of(b)


# ---- objects ----


def is_wrapper(obj: Any) -> bool:
    """Whether it is what compiling or distributing puts around a module: the process's own, but for its state."""
    return f"{type(obj).__module__}.".startswith(_WRAPPERS) and hasattr(type(obj), "state_dict")


def has_own_state(cls: type) -> bool:
    """Whether a class has a way of being saved that is not torch's."""
    ways = (getattr(cls, name) for name in ("state_dict", "load_state_dict"))
    return any(not f"{getattr(way, '__module__', '')}.".startswith("torch.") for way in ways)


def kept_by_process(obj: Any) -> tuple[str, ...] | None:
    """Attributes of an object whose other attributes are all of its state; None where the object leaves out some."""
    way: Any = type(obj).__getstate__
    known: dict[Any, tuple[str, ...]] = {object.__getstate__: ()}
    if torch := sys.modules.get("torch"):
        known[torch.optim.Optimizer.__getstate__] = _KEPT_BY_OPTIMIZERS
        known[torch.nn.Module.__getstate__] = _KEPT_BY_MODULES
    return known.get(way)


def undo_rounding(optimizer: Any, state: Mapping[str, Any]) -> None:
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
