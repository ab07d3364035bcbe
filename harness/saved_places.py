"""Places in a state: how an object is reached from the state's roots, so that a fresh start's counterpart is found.

Only what Python says of an object itself is looked at, never an attribute that a class makes up when it is asked.
"""

from __future__ import annotations

import collections
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinMethodType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

Step = tuple[str, Any]
Place = tuple[Step, ...]
ABSENT = object()
ATOMS = frozenset({int, float, complex, bool, str, bytes, type(None), type(Ellipsis)})
_MAPPINGS = (dict, MappingProxyType)
_SEQUENCES = (list, tuple, collections.deque)
_HELD: Mapping[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    MethodType: ("__self__",),
    collections.defaultdict: ("default_factory",),
}
"""What is held beside items, attributes and slots."""
NOTHING, STATE, ALL = range(3)
"""How much of an object is looked at: nothing, its ``state_dict`` alone, or all of it."""


def places_of(roots: Mapping[str, Any], depth: Callable[[Any, Place], int]) -> tuple[dict[int, Place], dict[int, Any]]:
    """The shortest way to every object, and the ``state_dict`` of every object that has one, both by the object's id.

    Args:
      depth: how much of an object is looked at.
    """
    places: dict[int, Place] = {}
    states: dict[int, Any] = {}
    queue: collections.deque[tuple[Place, Any]] = collections.deque()
    queue.extend(((("root", name),), value) for name, value in roots.items())
    while queue:
        place, obj = queue.popleft()
        if type(obj) in ATOMS or id(obj) in places:
            continue
        places[id(obj)] = place
        deep = depth(obj, place)
        if deep == ALL:
            queue.extend(((*place, step), child) for step, child in children(obj))
        if deep != NOTHING and not is_importable(type(obj)):
            queue.append(((*place, ("class", None)), type(obj)))
        if deep != NOTHING and is_stateful(obj):
            states[id(obj)] = obj.state_dict()
            queue.append(((*place, ("state", None)), states[id(obj)]))
    return places, states


def children(obj: Any) -> Iterator[tuple[Step, Any]]:
    """What an object holds, each with the step to it."""
    if isinstance(obj, _MAPPINGS):
        items = dict.items(obj) if isinstance(obj, dict) else obj.items()
        yield from ((("item", key), value) for key, value in items if type(key) in ATOMS)
    elif isinstance(obj, _SEQUENCES):
        yield from ((("item", index), value) for index, value in enumerate(obj))
    for name, value in attributes(obj).items():
        yield ("attribute", name), value
    cls: Any = type(obj)
    for name in _declared(cls):
        value = _attribute(obj, name)
        if value is not ABSENT:
            yield ("attribute", name), value


def resolve(roots: Mapping[str, Any], place: Place) -> Any:
    """What is there, or ``ABSENT``."""
    found: Any = roots
    for kind, key in place:
        found = _STEPS[kind](found, key)
        if found is ABSENT:
            break
    return found


def describe(place: Place) -> str:
    """``optimizer_state['schedule'].lr_lambdas[0]``."""
    return "".join(_WORDS[kind].format(key) for kind, key in place)


def attributes(obj: Any) -> dict[str, Any]:
    """What an object keeps in its own dictionary."""
    found = _attribute(obj, "__dict__")
    return found if type(found) is dict else {}


def is_stateful(obj: Any) -> bool:
    """Whether an object says itself how it is saved."""
    return all(callable(getattr(type(obj), name, None)) for name in ("state_dict", "load_state_dict"))


def is_importable(obj: Any) -> bool:
    """Whether a class or function is what its name says."""
    module: Any = getattr(obj, "__module__", None)
    name = name_of(obj)
    try:
        return functools.reduce(getattr, name.split("."), sys.modules[module]) is obj
    except (KeyError, AttributeError, TypeError):
        return False


def name_of(code: Any) -> Any:
    return getattr(code, "__qualname__", None) or getattr(code, "__name__", None)


def is_function(obj: Any) -> bool:
    """Whether it is code and holds no state that Python would tell of: functions, also compiled or cached ones."""
    if isinstance(obj, FunctionType):
        return True
    if not callable(obj) or isinstance(obj, type | MethodType | functools.partial):
        return False
    if isinstance(obj, BuiltinMethodType):
        return isinstance(obj.__self__, ModuleType | type(None))
    return type(obj).__module__.partition(".")[0] in ("builtins", "functools", "jaxlib")


def fingerprint(function: Any, depth: int = 6) -> Any:
    """What tells apart functions that are made in one place: names, also of the functions that they close over."""
    if isinstance(function, tuple | list):
        return tuple(fingerprint(part, depth) for part in function[:16])
    if not is_function(function) or not depth:
        return None
    inner = _attribute(function, "__wrapped__")
    if inner is not ABSENT and not isinstance(function, FunctionType):
        return fingerprint(inner, depth)
    cells = _attribute(function, "__closure__")
    closed_over = () if cells in (ABSENT, None) else tuple(fingerprint(_content(c), depth - 1) for c in cells)
    return getattr(function, "__qualname__", type(function).__name__), closed_over


def same_function(a: Any, b: Any) -> bool:
    """Whether two fingerprints can be of one function; what is made when it is first needed is none at first."""
    if a is None or b is None:
        return True
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same_function, a, b))
    return bool(a == b)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _attribute(obj: Any, name: str) -> Any:
    try:
        return object.__getattribute__(obj, name)
    except (AttributeError, TypeError):
        return ABSENT


@functools.cache
def _declared(cls: Any) -> tuple[str, ...]:
    """Attributes that an object has outside its dictionary, as members of its class."""
    members = (item for base in cls.__mro__ for item in vars(base).items())
    found = [name for name, member in members if isinstance(member, MemberDescriptorType)]
    held = [name for base, names in _HELD.items() if issubclass(cls, base) for name in names]
    return tuple(dict.fromkeys([*held, *found]))


def _item(obj: Any, key: Any) -> Any:
    if isinstance(obj, _MAPPINGS):
        return dict.get(obj, key, ABSENT) if isinstance(obj, dict) else obj.get(key, ABSENT)
    if isinstance(obj, _SEQUENCES) and isinstance(key, int) and key < len(obj):
        return obj[key]
    return ABSENT


def _state(obj: Any, _: None) -> Any:
    return obj.state_dict() if is_stateful(obj) else ABSENT


_STEPS: Mapping[str, Callable[[Any, Any], Any]] = {
    "root": lambda roots, name: roots.get(name, ABSENT),
    "item": _item,
    "attribute": lambda obj, name: attributes(obj).get(name, _attribute(obj, name)),
    "class": lambda obj, _: type(obj),
    "state": _state,
}
_WORDS: Mapping[str, str] = {
    "root": "{}",
    "item": "[{!r}]",
    "attribute": ".{}",
    "class": ".__class__",
    "state": ".state_dict()",
}
