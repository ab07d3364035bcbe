"""A trial's parameters, model state and optimizer state in both frameworks: to bytes, and back into a fresh start.

All of it is one pickle, so that what is one object stays one. Two kinds of things are the fresh start's:

- the model, with its modules, parameters and buffers, which get the saved values (:mod:`harness.saved_torch`);
- what cannot be pickled or need not be: functions that no module has under their name, compiled ones, the workload.
  A fresh start has them in the same place (:mod:`harness.saved_places`).

An object is the fresh start's object of its place and type, given the saved attributes, so that hooks and closures over
it hold; where there is none, it is made. An object with ``state_dict`` is saved by that as well: an entry's own way of
loading is followed, and any way where the attributes cannot be pickled.
"""

from __future__ import annotations

import copyreg
import dataclasses
import importlib
import io
import pickle
import threading
import weakref
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from harness import saved_loading as loading
from harness import saved_torch
from harness.saved_loading import CannotSaveError, Saved
from harness.saved_places import (
    ALL,
    ATOMS,
    NOTHING,
    STATE,
    Place,
    attributes,
    describe,
    is_function,
    is_importable,
    is_stateful,
    name_of,
    places_of,
)
from harness.spec import Workload

_LIVE = (Workload, ModuleType, weakref.ReferenceType, type(threading.Lock()), type(threading.RLock()), threading.local)
_LIVE_MODULES = ("harness.view", "torch.utils.hooks")
"""Where the classes stand through which an entry sees its workload, and handles of hooks, which lead to all hooks."""
_VALUES = ("jax", "jaxlib", "numpy")
"""Packages whose objects are never changed, only replaced."""
_SIMPLE = ATOMS | {dict, list, tuple, set, frozenset}
_COMPILERS = ("jax", "torch")
"""Packages whose callable objects are code, where they cannot be pickled."""


def model_in(params: Any) -> Any:
    """The model that a fresh start has as well, from the parameters that training started with; None where they are a
    tree of arrays, of which every step makes another."""
    return params if saved_torch.members(params) else None


def save_training(params: Any, model_state: Any, optimizer_state: Any, model: Any = None) -> Saved:
    """What training has made so far, without any live object.

    Args:
      model: what :func:`model_in` gave when training started; None for ``params``. An entry may have given back another
        module since, such as an average that it wants to be evaluated.

    Raises:
      CannotSaveError: names the place in it.
    """
    model = params if model is None else model
    roots = {"parameters": params, "model_state": model_state, "optimizer_state": optimizer_state}
    return _save(roots, model, saved_torch.values_of(model))


def restore_training(saved: Saved, params: Any, model_state: Any, optimizer_state: Any) -> tuple[Any, ...]:
    """``(params, model_state, optimizer_state)`` as saved, made from those of a fresh start.

    Raises:
      CannotSaveError: a fresh start has nothing in the place of a function or an object, or another model.
    """
    roots = {"parameters": params, "model_state": model_state, "optimizer_state": optimizer_state}
    return tuple(_restore(saved, roots, params).values())


def save(tree: Any, parameters: Any) -> Saved:
    """An optimizer state alone; parameters that it holds are saved as references.

    Raises:
      CannotSaveError: names the place in the tree.
    """
    return _save({"optimizer_state": tree}, parameters, {})


def restore(saved: Saved, fresh: Any, parameters: Any) -> Any:
    """The tree that was saved, made from a fresh start's tree where that has the same place.

    Raises:
      CannotSaveError: a fresh start has nothing in the place of a function or an object.
    """
    return _restore(saved, {"optimizer_state": fresh}, parameters)["optimizer_state"]


def _restore(saved: Saved, roots: Mapping[str, Any], model: Any) -> dict[str, Any]:
    loader = loading.Loader(saved, roots, model)
    values, found = loader.load()
    try:
        saved_torch.set_values(model, values)
        loader.load_states()
    except saved_torch.ModelError as error:
        raise CannotSaveError(f"parameters cannot be made again: {error}") from error
    return dict(found)


# ---- to bytes ----


@dataclasses.dataclass
class _Ways:
    """What was found not to be picklable as it is.

    Attributes:
      live: classes of callable objects, which are taken from a fresh start.
      by_state: places of objects that are saved by their ``state_dict`` alone.
    """

    live: set[type] = dataclasses.field(default_factory=set)
    by_state: set[Place] = dataclasses.field(default_factory=set)

    def found_another(self, saver: _Saver) -> bool:
        """Whether there is another way to save what a pickle failed at."""
        failed = saver.current
        place = saver.places.get(id(failed), ())
        is_code = callable(failed) and _package(failed) in _COMPILERS and not is_stateful(failed)
        if place and is_code and type(failed) not in self.live:
            self.live.add(type(failed))
            return True
        stateful = {saver.places[each] for each in saver.states} - self.by_state
        above = [place[:length] for length in range(len(place), 0, -1) if place[:length] in stateful]
        self.by_state.update(above[:1])
        return bool(above)


def _save(roots: Mapping[str, Any], model: Any, values: Any) -> Saved:
    ways = _Ways()
    while True:
        saver = _Saver(io.BytesIO(), model, ways)
        try:
            return saver.saved(roots, values)
        except Exception as error:  # whatever an entry's objects raise
            if not ways.found_another(saver):
                what = f"{describe(saver.nearest)} ({type(saver.current).__name__})"
                raise CannotSaveError(f"{what} cannot be saved: {error}") from error


def _package(obj: Any) -> str:
    return type(obj).__module__.partition(".")[0]


class _Fresh:
    """Stands in a pickle for what a fresh start has in a place."""

    def __init__(self, number: int | None) -> None:
        self.number = number


_LOADER = object()
"""Stands in a pickle for whoever loads it."""


class _Saver(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, model: Any, ways: _Ways) -> None:
        super().__init__(buffer, pickle.HIGHEST_PROTOCOL)
        self.buffer, self.ways = buffer, ways
        self.members = {id(obj): key for key, obj in saved_torch.members(model).items()}
        self.storages = saved_torch.storages_of(model)
        self.places: dict[int, Place] = {}
        self.states: dict[int, Any] = {}
        self.numbers: dict[Place, int] = {}
        self.needed: dict[int, Any] = {}
        self.stateful: set[int] = set()
        self.current: Any = None
        self.nearest: Place = ()

    def saved(self, roots: Mapping[str, Any], values: Any) -> Saved:
        self.places, self.states = places_of(self._with_counterparts(roots), self._depth)
        self.dump((values, dict(roots)))
        return Saved(self.buffer.getvalue(), tuple(self.numbers), self.needed, frozenset(self.stateful))

    def _with_counterparts(self, roots: Mapping[str, Any]) -> dict[str, Any]:
        """The roots in whose place a fresh start has the same: its parameters are the model itself, no other module."""
        params = roots.get("parameters")
        is_another = self.members and id(params) not in self.members
        return {name: root for name, root in roots.items() if not (name == "parameters" and is_another)}

    def _depth(self, obj: Any, place: Place) -> int:
        self.current, self.nearest = obj, place
        if saved_torch.is_plain(obj) and saved_torch.is_held_by_module(obj, place):
            storage = obj.untyped_storage()
            fresh = _Fresh(self.numbers.setdefault(place, len(self.numbers)))
            self.storages.setdefault(storage._cdata, saved_torch.Storage(storage, fresh))
        is_code = isinstance(obj, type) or is_function(obj) or _is_named_code(obj)
        is_value = saved_torch.is_tensor(obj) or _package(obj) == "jaxlib"
        if id(obj) in self.members or self._is_live(obj) or is_code or is_value:
            return NOTHING
        return STATE if self._is_saved_by_state(obj, place) else ALL

    def _is_live(self, obj: Any) -> bool:
        return isinstance(obj, _LIVE) or type(obj).__module__ in _LIVE_MODULES or type(obj) in self.ways.live

    def _is_saved_by_state(self, obj: Any, place: Place) -> bool:
        return place in self.ways.by_state or saved_torch.is_wrapper(obj)

    def _at(self, obj: Any) -> None:
        self.current = obj
        self.nearest = self.places.get(id(obj), self.nearest)

    def _number(self, obj: Any) -> int | None:
        place = self.places.get(id(obj))
        return None if place is None else self.numbers.setdefault(place, len(self.numbers))

    # ---- called by pickle ----

    def persistent_id(self, obj: Any) -> tuple[str, Any] | None:
        if type(obj) in _SIMPLE:
            return None
        if type(obj) is _Fresh:
            return "fresh", obj.number
        if obj is _LOADER:
            return "loader", None
        if id(obj) in self.members:
            return "member", self.members[id(obj)]
        nameless = (isinstance(obj, type) or is_function(obj)) and not is_importable(obj)
        if nameless or (self._is_live(obj) and not isinstance(obj, ModuleType)):
            return "fresh", self._needed(obj)
        return None

    def _needed(self, obj: Any) -> int:
        self._at(obj)
        number = self._number(obj)
        if number is None:
            raise pickle.PicklingError("a function without a name, in a place that a fresh start is not asked for")
        self.needed[number] = loading.mark_of(obj)
        return number

    def reducer_override(self, obj: Any) -> Any:
        self._at(obj)
        if isinstance(obj, ModuleType):
            return importlib.import_module, (obj.__name__,)
        if isinstance(obj, MappingProxyType):
            return MappingProxyType, (dict(obj),)
        if isinstance(obj, saved_torch.Storage):
            return self._reduced_storage(obj)
        if saved_torch.is_plain(obj):
            return self._reduced_tensor(obj)
        if isinstance(obj, type) or is_function(obj) or type(obj) in copyreg.dispatch_table:
            return NotImplemented
        if _is_named_code(obj):
            return name_of(obj)
        if _package(obj) == "jaxlib" and hasattr(obj, "sharding"):
            return loading.placed, (_Fresh(self._number(obj)), *obj.__reduce__()[:2])
        if self._is_saved_by_state(obj, self.places.get(id(obj), ())):
            return self._reduced_object(obj, None)
        return self._reduced(obj)

    def _reduced(self, obj: Any) -> Any:
        parts = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        if isinstance(parts, str) or not _is_variable(obj, parts):
            return parts if isinstance(parts, tuple) else NotImplemented
        kept = saved_torch.kept_by_process(obj)
        state = parts[2] if len(parts) > 2 else None
        if kept:
            state = {name: value for name, value in attributes(obj).items() if name not in kept}
        return self._reduced_object(obj, (state, kept))

    def _reduced_object(self, obj: Any, whole: tuple[Any, Any] | None) -> Any:
        number, own = self._number(obj), self.states.get(id(obj))
        if own is not None and number is not None:
            self.stateful.add(number)
        saved = (_LOADER, number, whole, own)
        return loading.made, (_LOADER, number, type(obj)), saved, None, None, loading.set_object

    def _reduced_tensor(self, tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        held = self.storages.setdefault(storage._cdata, saved_torch.Storage(storage))
        place = self.places.get(id(tensor), ())
        fresh = _Fresh(self._number(tensor) if saved_torch.is_held_by_module(tensor, place) else None)
        is_parameter = type(tensor).__name__ == "Parameter"
        layout = saved_torch.layout_of(tensor)
        arguments = (_LOADER, held, layout, tensor.requires_grad, is_parameter, fresh)
        return loading.tensor, arguments, (dict(vars(tensor)), tensor.grad), None, None, loading.set_tensor

    def _reduced_storage(self, held: saved_torch.Storage) -> Any:
        data = saved_torch.bytes_of(held.storage)
        return loading.storage, (_LOADER, data, str(held.storage.device), held.owner)


def _is_named_code(obj: Any) -> bool:
    """Whether it is a function of a framework, though an object: ``jax.numpy.add``, ``jax.nn.relu``."""
    return _package(obj) in _COMPILERS and callable(obj) and is_importable(obj)


def _is_variable(obj: Any, parts: tuple[Any, ...]) -> bool:
    """Whether others may look at an object while it changes, and its attributes are all that it is."""
    parameters = getattr(type(obj), "__dataclass_params__", None)
    return (
        parts[0] is getattr(copyreg, "__newobj__")  # noqa: B009 (mypy knows no such attribute)
        and len(parts[1]) == 1
        and not any(parts[3:])
        and not isinstance(obj, dict | list | set | tuple)
        and not (parameters is not None and parameters.frozen)
        and _package(obj) not in _VALUES
    )
