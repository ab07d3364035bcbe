"""From a saved state's bytes back into a fresh start: what the pickles of :mod:`harness.saving` call."""

from __future__ import annotations

import dataclasses
import io
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

from harness import saved_torch
from harness.saved_places import (
    ABSENT,
    Place,
    attributes,
    describe,
    fingerprint,
    is_function,
    is_stateful,
    resolve,
    same_function,
)


class CannotSaveError(Exception):
    """Something in the state cannot be written to a checkpoint, or made again from it."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """A state without any live object.

    Attributes:
      data: a pickle of the model's values and the state.
      places: where things are taken from a fresh start; the pickle has their numbers.
      needed: numbers of those that a fresh start must have, with the fingerprints of functions.
      stateful: numbers of objects that can be loaded by their ``state_dict``.
    """

    data: bytes
    places: tuple[Place, ...]
    needed: Mapping[int, Any]
    stateful: frozenset[int]


def mark_of(obj: Any) -> Any:
    """By which a fresh start's thing is seen to be another one."""
    if is_function(obj):
        return fingerprint(obj)
    return (obj if isinstance(obj, type) else type(obj)).__qualname__


class Loader(pickle.Unpickler):
    def __init__(self, saved: Saved, roots: Mapping[str, Any], model: Any) -> None:
        """
        Raises:
          CannotSaveError: the fresh start lacks something.
        """
        super().__init__(io.BytesIO(saved.data))
        self.places = saved.places
        self.fresh = [resolve(roots, place) for place in saved.places]
        self.members = saved_torch.members(model)
        self.claimed: set[Any] = set()
        self.states: list[tuple[Any, Any]] = []
        self.lacking = [number for number, mark in saved.needed.items() if not self._has(number, mark)]
        loadable = [n for n in saved.stateful if is_stateful(self.fresh[n])]
        for number in self.lacking:
            if not any(self._is_below(number, above) for above in loadable):
                raise CannotSaveError(f"{describe(self.places[number])} is {_LACKED}")

    def _has(self, number: int, mark: Any) -> bool:
        found = self.fresh[number]
        return found is not ABSENT and found is not None and same_function(mark, mark_of(found))

    def _is_below(self, number: int, above: int) -> bool:
        place = self.places[above]
        return self.places[number][: len(place)] == place

    def is_whole(self, number: int | None) -> bool:
        """Whether the fresh start has all that an object's attributes need."""
        if number is None:
            return True
        length = len(self.places[number])
        below = [self.places[each] for each in self.lacking if self._is_below(each, number)]
        return all(place[length : length + 1] == (("state", None),) for place in below)

    def claim(self, name: Any) -> bool:
        """Whether the fresh start's thing was not yet given to another one that was saved."""
        is_free = name not in self.claimed
        self.claimed.add(name)
        return is_free

    def load_states(self) -> None:
        """Once everything is there: an object may look at others while it loads its state."""
        for obj, state in self.states:
            obj.load_state_dict(state)
            saved_torch.undo_rounding(obj, state)

    def persistent_load(self, name: tuple[str, Any]) -> Any:
        kind, key = name
        if kind == "loader":
            return self
        if kind == "fresh":
            return ABSENT if key is None else self.fresh[key]
        if key not in self.members:
            raise CannotSaveError(f"the model of a fresh start has no {key[0]} {key[1]!r}")
        return self.members[key]


_LACKED = "a function that init_optimizer_state does not make"


def made(loader: Loader, number: int | None, cls: Any) -> Any:
    """The fresh start's object of that place, or a new one."""
    fresh = ABSENT if number is None else loader.fresh[number]
    return fresh if type(fresh) is cls and loader.claim(id(fresh)) else cls.__new__(cls)


def set_object(obj: Any, saved: tuple[Loader, int | None, tuple[Any, Any] | None, Any]) -> None:
    """Gives an object its attributes; where they do not do, it is to load its state.

    Raises:
      CannotSaveError: neither can be done.
    """
    loader, number, whole, own = saved
    is_whole = whole is not None and loader.is_whole(number)
    if whole is not None and is_whole:
        _set_attributes(obj, *whole)
    elif number is None or loader.fresh[number] is not obj:
        place = describe(loader.places[number]) if number is not None else type(obj).__name__
        raise CannotSaveError(f"{place} cannot be pickled, and a fresh start has nothing there to load its state into")
    if own is not None and (not is_whole or saved_torch.has_own_state(type(obj))):
        loader.states.append((obj, own))


def _set_attributes(obj: Any, state: Any, kept: tuple[str, ...] | None) -> None:
    """As pickle does it. Attributes that the object did not have when it was saved go, where all of them were saved."""
    if kept is not None:
        for name in attributes(obj).keys() - set(kept):
            del attributes(obj)[name]
    if state is None:
        return
    by_class = getattr(type(obj), "__setstate__", None)
    if by_class is not None:
        by_class(obj, state)
        return
    in_dict, in_slots = state if isinstance(state, tuple) else (state, None)
    attributes(obj).update(in_dict or {})
    for name, value in (in_slots or {}).items():
        setattr(obj, name, value)


def placed(fresh: Any, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A jax array, placed as the fresh start's where that was placed on purpose."""
    value = make(*arguments)
    if getattr(fresh, "committed", False) and hasattr(value, "sharding"):
        return sys.modules["jax"].device_put(value, fresh.sharding)
    return value


def storage(loader: Loader, data: bytes, device: str, owner: Any) -> Any:
    like = owner if saved_torch.is_plain(owner) and loader.claim(("storage", owner.untyped_storage()._cdata)) else None
    return saved_torch.storage_from(data, device, like)


def tensor(loader: Loader, storage: Any, layout: tuple[Any, ...], trained: bool, is_parameter: bool, like: Any) -> Any:
    return saved_torch.tensor_from(storage, layout, trained, is_parameter, like)


def set_tensor(tensor: Any, kept: tuple[dict[str, Any], Any]) -> None:
    vars(tensor).update(kept[0])
    tensor.grad = kept[1]
