"""Calls a submission's functions, and compares what they must leave alone before and after every call."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.check.findings import Finding, finding
from harness.fixed_parts import Snapshot, fixed_parts, settings
from harness.returned import unpacked
from harness.spec import OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS, Workload


@dataclasses.dataclass
class Guard:
    """What is seen while an entry runs.

    Attributes:
      framework: where it runs.
      places: file and line of every submission function.
      folder: of the entry; None for a composition.
      findings: what was found.
      inside: the submission function that is running, if any.
      dropout: the rates with which the model was trained.
      queue: where batches come from, while steps are taken.
    """

    framework: str
    places: Mapping[str, tuple[Path, int]]
    main: Path
    folder: Path | None
    findings: list[Finding] = dataclasses.field(default_factory=list)
    inside: str = ""
    dropout: list[Any] = dataclasses.field(default_factory=list)
    queue: WatchedQueue | None = None

    def report(self, rule: str, message: str, function: str = "", mend: str = "") -> None:
        path, line = self.places.get(function or self.inside, (self.main, 1))
        self.report_at(rule, message, path, line, mend)

    def report_at(self, rule: str, message: str, path: Path, line: int, mend: str = "") -> None:
        found = finding(rule, path, line, message, self.framework)
        if mend:
            found = dataclasses.replace(found, mend=mend)
        if all((f.rule, f.path, f.line) != (found.rule, found.path, found.line) for f in self.findings):
            self.findings.append(found)

    # ---- as the toys' observer ----

    def split_loaded(self, split: str) -> None:
        if self.inside:
            self.report("peeks", f"{self.inside} loads the split {split!r}")

    def trained(self, dropout_rate: Any) -> None:
        self.dropout.append(dropout_rate)

    # ---- functions ----

    def guarded(self, functions: Any, workload: Workload) -> SimpleNamespace:
        """The submission's functions, watched."""
        names = [*SUBMISSION_FUNCTIONS, *OPTIONAL_SUBMISSION_FUNCTIONS]
        found = {name: getattr(functions, name, None) for name in names}
        return SimpleNamespace(
            **{name: self._watched(name, function, workload) for name, function in found.items() if function}
        )

    def _watched(self, name: str, function: Callable[..., Any], workload: Workload) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.leaving_alone(name, workload), self._leaving_arguments(name, args, kwargs):
                result = function(*args, **kwargs)
                if name == "update_params":  # the harness looks at the first result alone
                    unpacked(name, result, 3, 1, lambda value: value is not None)
                return result

        return call

    @contextlib.contextmanager
    def keeping_settings(self, name: str) -> Iterator[None]:
        """Reports changes of the process's settings; not of modules, into which loading puts AlgoPerf's old names."""
        before = {"global-settings": settings(self.framework)}
        yield
        self._compare(before, {"global-settings": settings(self.framework)}, name)

    @contextlib.contextmanager
    def leaving_alone(self, name: str, workload: Workload) -> Iterator[None]:
        """Reports what changes of the workload, of modules and of the process's settings."""
        before = fixed_parts(self.framework, workload)
        self.inside = name
        yield  # an exception leaves ``inside`` as it is, for the report
        self._compare(before, fixed_parts(self.framework, workload), name)
        self.inside = ""

    @contextlib.contextmanager
    def _leaving_arguments(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[None]:
        """Reports changes of the batches that were given so far, of the model's settings, and of arguments that the
        harness keeps."""
        names = {**SUBMISSION_FUNCTIONS, **OPTIONAL_SUBMISSION_FUNCTIONS}[name]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        kept = {key: given[key] for key in _KEPT_ARGUMENTS & given.keys()}
        before = {key: repr(value) for key, value in kept.items()}
        model = next((given[key] for key in _MODELS if key in given), None)
        modules = settings_of_modules(model)
        yield
        for key, value in settings_of_modules(model).items():
            if key in modules and modules[key] != value:
                message = f"{name} sets {key} of the model, which was {modules[key]!r}, to {value!r}"
                self.report("changes-model", message, name)
        for key in sorted(key for key, value in kept.items() if repr(value) != before[key]):
            self.report("changes-workload", f"{name} changes {key}, which is the harness's", name)
        for change in self.queue.changes() if self.queue else ():
            self.report("changes-batch", f"{change} a batch of the input queue", name)

    def _compare(self, before: Mapping[str, Snapshot], after: Mapping[str, Snapshot], name: str) -> None:
        for rule, snapshot in before.items():
            changed = [key for key, value in snapshot.items() if not _same(after[rule].get(key), value)]
            if rule == "changes-workload":
                changed += [key for key in after[rule] if key not in snapshot and not key.startswith("_")]
            for key in changed:
                self.report(rule, _CHANGED[rule].format(function=name, key=key, value=after[rule].get(key)), name)


_MODELS = ("model_params", "current_param_container")
_KEPT_ARGUMENTS = frozenset({"eval_results", "current_params_types", "model_params_types"})

_CHANGED: Mapping[str, str] = {
    "changes-workload": "{function} changes workload.{key}",
    "patches": "{function} replaces {key}",
    "global-settings": "{function} changes {key} to {value}",
}


def _same(a: Any, b: Any) -> bool:
    return a is b or bool(a == b)


# ---- batches and parameters ----


class WatchedQueue:
    """An input queue that remembers what it gave, to see whether it was changed."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._given: list[tuple[Any, Copies]] = []

    def __iter__(self) -> WatchedQueue:
        return self

    def __next__(self) -> Any:
        batch = next(self._queue)
        self._given.append((batch, _copy(batch)))
        return batch

    def changes(self) -> list[str]:
        """What was changed in the batches since the last call."""
        found = []
        for index, (batch, copy) in enumerate(self._given):
            if changed := list(_batch_changes(batch, copy)):
                found += changed
                self._given[index] = batch, _copy(batch)
        return found

    def forget(self) -> None:
        self._given.clear()


Copies = Mapping[str, Sequence[np.ndarray]]
"""By name of a batch's part: its arrays, or the one that it is."""


def _copy(batch: Any) -> Copies:
    return {
        name: [np.array(() if _is_deleted(array) else array) for array in _arrays(value)]
        for name, value in batch.items()
    }


def _arrays(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _is_deleted(value: Any) -> bool:
    """Whether a jax array was given away to a compiled function."""
    return bool(getattr(value, "is_deleted", bool)())


def _batch_changes(batch: Any, copy: Copies) -> Iterator[str]:
    yield from (f"adds {name!r} to" for name in batch.keys() - copy.keys())
    yield from (f"removes {name!r} from" for name in copy.keys() - batch.keys())
    for name in copy.keys() & batch.keys():
        arrays = _arrays(batch[name])
        if len(arrays) != len(copy[name]) or any(map(_is_changed, arrays, copy[name])):
            yield f"changes {name!r} in"


def _is_changed(array: Any, copy: np.ndarray) -> bool:
    return not _is_deleted(array) and not np.array_equal(np.asarray(array), copy, equal_nan=True)


def structure(params: Any) -> Any:
    """Names, shapes and types of a container's parameters."""
    if hasattr(params, "named_parameters"):
        modules = [(name, type(module).__name__) for name, module in params.named_modules()]
        return modules, [(name, tuple(p.shape), str(p.dtype)) for name, p in params.named_parameters()]
    if isinstance(params, Mapping):
        return {name: structure(value) for name, value in params.items()}
    return tuple(params.shape), str(params.dtype)


def settings_of_modules(model: Any) -> dict[str, Any]:
    """Plain settings of a model's modules: a momentum, a rate of dropout, a size."""
    modules = model.named_modules() if hasattr(model, "named_modules") else ()
    return {f"{name}.{key}".lstrip("."): value for name, module in modules for key, value in _settings_of(module)}


def _settings_of(module: Any) -> Iterator[tuple[str, Any]]:
    held, declared = vars(module), _declared_settings(module.__class__)
    for key, value in held.items():
        if key == "momentum" and "momentum_backup" in held:  # AlgoPerf's update_batch_norm_fn keeps it there
            yield key, held["momentum_backup"]
        elif key in declared and isinstance(value, bool | int | float | str | None):
            yield key, value


@functools.cache
def _declared_settings(kind: type) -> frozenset[str]:
    """Names that a class and its bases set where an object is made; what an entry counts beside a module is none."""
    codes = [getattr(vars(base).get("__init__"), "__code__", None) for base in kind.__mro__]
    return frozenset(name for code in codes if code for name in code.co_names) - _CHANGING


_CHANGING = frozenset({"training", "track_running_stats"})
"""What frameworks and AlgoPerf set anew in every pass."""
