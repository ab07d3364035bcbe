"""A composition as it is written: its components, their settings, and its placeholders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from harness.spec import FRAMEWORKS, Framework
from submissions import components
from submissions.components import KINDS, ONE_MINUS, Component, Kind

KeyPath = tuple[str | int, ...]

OPTIONS: Mapping[str, float] = {"gradient_clip": 1.0, "label_smoothing": 0.0}
"""Optional numbers at the top level; the values here only fix their type."""
HORIZON = {"horizon": 1.0}
_WHEN_MISSING: Mapping[Kind, str] = {"schedule": "constant", "averaging": "none", "initializer": "default"}


def component(data: Mapping[str, Any], kind: Kind) -> Component:
    """The component of a kind.

    Raises:
      UnknownComponentError: it names none that exists.
    """
    return components.load(kind, component_name(data, kind))


def component_name(data: Mapping[str, Any], kind: Kind) -> Any:
    given = data.get(kind, _WHEN_MISSING.get(kind))
    return given.get("name") if isinstance(given, Mapping) else given


def keeps_initial_values(data: Mapping[str, Any]) -> bool:
    return component_name(data, "initializer") == _WHEN_MISSING["initializer"]


def averages(data: Mapping[str, Any]) -> bool:
    """Whether an average of the iterates is evaluated in their place."""
    return component_name(data, "averaging") != _WHEN_MISSING["averaging"]


def hyperparameters(chosen: Component) -> dict[str, Any]:
    """Hyperparameters that a composition may set, with their default values."""
    return {**chosen.defaults, **(HORIZON if chosen.kind == "schedule" else {})}


def settings(data: Mapping[str, Any], kind: Kind) -> dict[Any, Any]:
    """Hyperparameters as written, and ``learning_rate: $learning_rate`` where it can be meant."""
    given = data.get(kind)
    written = {key: value for key, value in given.items() if key != "name"} if isinstance(given, Mapping) else {}
    named = {"learning_rate", f"{ONE_MINUS}learning_rate"} & set(written)
    if kind == "optimizer" and not named and "learning_rate" in defined(data):
        written["learning_rate"] = "$learning_rate"
    return written


def placeholder(value: Any) -> str | None:
    """``$name`` -> ``name``; None for any other value."""
    return value[1:] if isinstance(value, str) and value.startswith("$") else None


def search_names(data: Mapping[str, Any]) -> tuple[Any, ...]:
    space = data.get("search_space")
    if isinstance(space, list):
        space = space[0] if space else None
    return tuple(space) if isinstance(space, Mapping) else ()


def defaults(data: Mapping[str, Any]) -> Mapping[Any, Any]:
    given = data.get("defaults")
    return given if isinstance(given, Mapping) else {}


def defined(data: Mapping[str, Any]) -> frozenset[Any]:
    """Names that placeholders may use."""
    return frozenset(search_names(data)) | frozenset(defaults(data))


def frameworks(data: Mapping[str, Any]) -> tuple[Framework, ...]:
    """Frameworks that the composition asks for and all of its components have."""
    asked = data.get("framework", "both")
    supported = [component(data, kind).frameworks for kind in KINDS]
    return tuple(f for f in FRAMEWORKS if asked in (f, "both") and all(f in known for known in supported))


def source_digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of the source files that decide what the composition does."""
    joined = hashlib.sha256()
    for file in components.source_files(component(data, kind) for kind in KINDS):
        joined.update(f"{file.parent.name}/{file.name}".encode() + b"\0" + file.read_bytes() + b"\0")
    return joined.hexdigest()
