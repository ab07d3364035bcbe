"""What is wrong with a composition, as far as it can be seen without a framework."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from harness.spec import FRAMEWORKS, TRACKS, suggestion
from submissions import _reading, components
from submissions._reading import OPTIONS, KeyPath
from submissions.components import BOUNDS, KINDS, ONE_MINUS, Interval, Kind, setting_problem

_FIXED_INITIAL_VALUES = ("algoperf", "finetuning")
_KEYS = frozenset({"name", "summary", "framework", *KINDS, *OPTIONS, "batch_size", "track", "search_space", "defaults"})


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong with a composition, and the keys and indices that lead to it."""

    path: KeyPath
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}" if self.path else self.message


def problems(data: Mapping[str, Any]) -> list[Problem]:
    """Everything that can be found wrong without a framework; empty for a sound composition."""
    found = [*_key_problems(data), *_option_problems(data), *_placeholder_problems(data)]
    for kind in KINDS:
        found += _component_problems(data, kind)
    return found or list(_combination_problems(data))


def _key_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for key in data:
        if key not in _KEYS:
            yield Problem((key,), f"unknown key; {suggestion(str(key), _KEYS)}")
    for key in ("name", "summary"):
        if not isinstance(data.get(key, "text"), str) or data.get(key) == "":
            yield Problem((key,), f"expected text, found {data[key]!r}")
    if "name" not in data:
        yield Problem((), "name is missing; add it")
    for key, known in (("framework", (*FRAMEWORKS, "both")), ("track", TRACKS)):
        if key in data and data[key] not in known:
            yield Problem((key,), f"unknown {key} {data[key]!r}; {suggestion(str(data[key]), known)}")
    yield from _batch_size_problems(data.get("batch_size", {}))
    if not isinstance(data.get("defaults", {}), Mapping):
        yield Problem(("defaults",), f"expected a mapping from placeholders to values, found {data['defaults']!r}")
    if not isinstance(data.get("search_space", {}), Mapping | list):
        yield Problem(("search_space",), f"expected a mapping or a list of points, found {data['search_space']!r}")


def _batch_size_problems(sizes: Any) -> Iterator[Problem]:
    if not isinstance(sizes, Mapping):
        yield Problem(("batch_size",), f"expected a mapping from workload names to batch sizes, found {sizes!r}")
        return
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            yield Problem(("batch_size", name), f"expected a whole number from 1 on, found {size!r}")


def _component_problems(data: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    name = _reading.component_name(data, kind)
    path: KeyPath = (kind, "name") if isinstance(data.get(kind), Mapping) and "name" in data[kind] else (kind,)
    if name is None:
        known = components.names(kind)
        yield Problem(path, f"name one, as in `{kind}: {{name: {known[0]}}}`; known: {', '.join(known)}")
        return
    try:
        chosen = components.load(kind, str(name))
    except components.UnknownComponentError as error:
        yield Problem(path, str(error))
        return
    known_settings, settings = _reading.hyperparameters(chosen), _reading.settings(data, kind)
    for key, value in settings.items():
        plain = str(key).removeprefix(ONE_MINUS)
        if plain not in known_settings:
            hint = suggestion(plain, known_settings)
            yield Problem((kind, key), f"{chosen.name} has no hyperparameter {key!r}; {hint}")
        elif plain != key and plain in settings:
            yield Problem((kind, key), f"{plain} is given as well; keep one of them")
        else:
            yield from _value_problems(data, (kind, key), value, known_settings[plain], chosen.bounds)


def _option_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for key, default in OPTIONS.items():
        if data.get(key) is not None:
            yield from _value_problems(data, (key,), data[key], default, BOUNDS)


def _value_problems(
    data: Mapping[str, Any], path: KeyPath, value: Any, default: Any, bounds: Mapping[str, Interval]
) -> Iterator[Problem]:
    """A value as written, or every value that its placeholder can take."""
    name = _reading.placeholder(value)
    for at, candidate in [(path, value)] if name is None else _candidates(data, name):
        problem = setting_problem(str(path[-1]), candidate, default, bounds)
        if problem:
            yield Problem(at, problem if at == path else f"as {'.'.join(map(str, path))}: {problem}")


def _candidates(data: Mapping[str, Any], name: str) -> Iterator[tuple[KeyPath, Any]]:
    """Values that a placeholder can take, with their places; the harness reports a malformed search space itself."""
    space = data.get("search_space")
    if isinstance(space, list):
        for index, point in enumerate(space):
            if isinstance(point, Mapping) and name in point:
                yield ("search_space", index, name), point[name]
    dimension = space.get(name) if isinstance(space, Mapping) else None
    if isinstance(dimension, Mapping):
        for end in ("min", "max"):
            if end in dimension:
                yield ("search_space", name, end), dimension[end]
        points = dimension.get("feasible_points")
        for index, point in enumerate(points if isinstance(points, list) else []):
            yield ("search_space", name, "feasible_points", index), point
    if name in _reading.defaults(data):
        yield ("defaults", name), _reading.defaults(data)[name]


def _used(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Placeholders, and where they are used."""
    places: list[tuple[KeyPath, Any]] = [
        ((kind, key), value) for kind in KINDS for key, value in _reading.settings(data, kind).items()
    ]
    places.extend(((key,), data[key]) for key in OPTIONS if key in data)
    for path, value in places:
        name = _reading.placeholder(value)
        if name is not None:
            yield path, name


def _placeholder_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    used, defined, defaults = dict(_used(data)), _reading.defined(data), _reading.defaults(data)
    for path, name in used.items():
        if name not in defined:
            hint = suggestion(name, map(str, defined))
            yield Problem(path, f"${name} is defined neither in search_space nor in defaults; {hint}")
        elif "defaults" in data and name not in defaults:
            yield Problem(("defaults",), f"{name} is missing; ${name} needs a value under the self-tuning ruleset too")
    space: KeyPath = ("search_space", 0) if isinstance(data.get("search_space"), list) else ("search_space",)
    places: list[KeyPath] = [(*space, name) for name in _reading.search_names(data)]
    places += [("defaults", name) for name in defaults]
    for place in places:
        if place[-1] not in used.values():
            yield Problem(place, f"is used nowhere; write ${place[-1]} where it belongs, or remove it")


def _combination_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    if not _reading.frameworks(data):
        known = {kind: _reading.component(data, kind) for kind in KINDS}
        have = "; ".join(f"{kind} {c.name} has {', '.join(c.frameworks) or 'none'}" for kind, c in known.items())
        yield Problem(("framework",), f"no framework has all components: {have}")
    optimizer = _reading.component(data, "optimizer")
    if _reading.averages(data) and any(hasattr(optimizer.module, f) for f in ("torch_eval", "jax_eval")):
        yield Problem(("averaging",), f"{optimizer.name} evaluates at an average of its own; leave averaging out")
    track = data.get("track", "algoperf")
    if track in _FIXED_INITIAL_VALUES and not _reading.keeps_initial_values(data):
        yield Problem(("track",), f"the {track} track fixes the initial values; write `track: initializers`, or open")
