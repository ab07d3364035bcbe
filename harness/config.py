"""YAML and JSON files whose errors name the file, the line and the key."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
import yaml

from harness.errors import UsageError, suggestion

KeyPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=pydantic.BaseModel)


class ConfigError(UsageError):
    """A configuration file is malformed; the message is ``file:line: key: what, and how to mend it``."""


@dataclasses.dataclass(frozen=True)
class Document:
    """A parsed file with the line on which every key stands."""

    path: Path
    data: Any
    lines: Mapping[KeyPath, int]

    def error(self, key: KeyPath, message: str) -> ConfigError:
        return ConfigError(self.describe(key, message))

    def describe(self, key: KeyPath, message: str) -> str:
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        where = f"{self.path}:{line}" if line else str(self.path)
        name = ".".join(str(part) for part in key)
        return f"{where}: {name}: {message}" if name else f"{where}: {message}"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats (PyYAML reads ``1e-4`` as a string), and an error for a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)$|^[-+]?(\d+\.\d*|\.\d+)$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def load_document(path: Path) -> Document:
    """Reads a ``.json``, ``.yaml`` or ``.yml`` file.

    Raises:
      ConfigError: the file cannot be read or parsed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if path.suffix == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path}:{error.lineno}: not JSON: {error.msg} (column {error.colno})") from None
    try:
        loader = _Loader(text.replace("\t", " ") if path.suffix == ".json" else text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {error.problem or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    lines: dict[KeyPath, int] = {}
    if node is not None:
        _collect_lines(node, (), lines)
    return Document(path, data, lines)


def _collect_lines(node: yaml.Node, key: KeyPath, lines: dict[KeyPath, int]) -> None:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            child = (*key, key_node.value)
            lines[child] = key_node.start_mark.line + 1
            _collect_lines(value_node, child, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value_node in enumerate(node.value):
            _collect_lines(value_node, (*key, index), lines)


def validate(document: Document, model: type[Model]) -> Model:
    """The document as ``model``.

    Raises:
      ConfigError: names every key that is missing, unknown or of the wrong type, with its line.
    """
    if not isinstance(document.data, Mapping):
        found = _FOUND.get(type(document.data), f"{document.data!r}")
        raise document.error((), f"expected keys and values, such as name: x; found {found}")
    try:
        return model.model_validate(document.data)
    except pydantic.ValidationError as error:
        problems = [_describe(document, model, problem) for problem in error.errors()]
        raise ConfigError("\n".join(problems)) from None


_FOUND: Mapping[type, str] = {type(None): "nothing: the file is empty", list: "a list"}
"""Words for what a document is, where it is no mapping."""


def _describe(document: Document, model: type[pydantic.BaseModel], problem: Any) -> str:
    key = _key_of(document.data, problem["loc"])
    if problem["type"] == "extra_forbidden":
        return document.describe(key, f"unknown key; {suggestion(str(key[-1]), _model_at(model, key).model_fields)}")
    if problem["type"] == "missing":
        return document.describe((*key, problem["loc"][-1]), "is missing; add it")
    if problem["type"] == "model_type":
        return document.describe(key, f"expected keys and values (found {problem['input']!r})")
    return document.describe(key, f"{problem['msg'].removeprefix('Value error, ')} (found {problem['input']!r})")


def _key_of(data: Any, location: KeyPath) -> KeyPath:
    """The part of a location that the data have: pydantic's also names the branches of unions."""
    key: KeyPath = ()
    for part in location:
        if part in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(part, int):
            key, data = (*key, part), data[part]
    return key


def _model_at(model: type[pydantic.BaseModel], key: KeyPath) -> type[pydantic.BaseModel]:
    """The model whose field the key's last part should be."""
    for part in key[:-1]:
        if isinstance(part, str):
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
