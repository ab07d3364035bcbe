"""What a submission must leave as it is: the workload, the harness, the framework's functions and its settings."""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import os
import pathlib
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.spec import Workload

if TYPE_CHECKING:
    from harness.trial import TrainingLoop

Snapshot = Mapping[str, Any]

_CALLED_BY_STATEMENTS = frozenset({"__import__", "__build_class__"})
"""What an import and a class statement call, and pickle too."""

HARNESS_MODULES = (
    "harness.clock",
    "harness.data",
    "harness.spec",
    "harness.declarations",
    "harness.interface",
    "harness.trial",
    "harness.seeds",
    "harness.entry",
    "harness.claim",
    "harness.judge",
    "harness.watch",
    "harness.listener",
    "harness.event_arguments",
    "harness.audited",
    "harness.callers",
    "harness.process_state",
)
FRAMEWORK_MODULES: Mapping[str, tuple[str, ...]] = {
    # torch._dynamo, which an optimizer imports when it is made, replaces torch.manual_seed: it must be there before.
    "torch": (
        *("numpy", "torch._dynamo", "torch", "torch.nn", "torch.nn.functional", "torch.optim"),
        "harness.frameworks.torch",
    ),
    "jax": ("numpy", "jax", "jax.numpy", "jax.nn", "jax.random", "jax.lax", "optax", "harness.frameworks.jax"),
}
OURS = ("harness.", "workloads.", "results.")
_OF_AN_ENTRY = ("harness.compat.algoperf", "harness.compat.environment")
_OPENED_CLASSES = ("harness.", "workloads.", "results.", "torch.nn.")
"""Where a class is defined whose own functions are looked after too: they are what a model is evaluated with."""
_OPENED = frozenset(
    {
        *("torch.Tensor", "contextlib._GeneratorContextManager", "random.Random"),
        *("pathlib.PurePath", "pathlib.Path", "pathlib.PosixPath"),
    }
)
_SPECIAL = frozenset({"__call__", "__enter__", "__exit__"})
_OWN_OF_THE_HARNESS = frozenset({"_backend", "metrics_logger", "dropout_rate", "observer"})
"""Attributes of the workload that its own methods set."""


class Member(NamedTuple):
    """A function, class or constant: its full name, where it is looked up and by which key, and its value."""

    label: str
    namespace: Mapping[Any, Any]
    name: Any
    value: Any

    @property
    def is_changed(self) -> bool:
        return self.namespace.get(self.name) is not self.value


def members(modules: Iterable[ModuleType]) -> Iterator[Member]:
    """Callables of modules; of the harness's, constants too, what its tables hold and what its classes define."""
    for module in modules:
        ours = module.__name__.startswith(OURS)
        for name, value in list(vars(module).items()):
            if (name.startswith("__") and name not in _CALLED_BY_STATEMENTS) or not (ours or callable(value)):
                continue
            yield Member(f"{module.__name__}.{name}", vars(module), name, value)
            if ours and isinstance(value, dict):
                yield from (
                    Member(f"{module.__name__}.{name}[{key!r}]", value, key, item) for key, item in value.items()
                )
            full_name = f"{getattr(value, '__module__', '')}.{name}"
            if isinstance(value, type) and (full_name.startswith(_OPENED_CLASSES) or full_name in _OPENED):
                for key, attribute in list(vars(value).items()):
                    # torch.compile gives Module another __init__ and __setstate__.
                    if not ours and key.startswith("__") and key not in _SPECIAL:
                        continue
                    if callable(attribute) or isinstance(attribute, property):
                        yield Member(f"{module.__name__}.{name}.{key}", vars(value), key, attribute)


def modules_of(names: Iterable[str]) -> list[ModuleType]:
    return [importlib.import_module(name) for name in names]


def own_modules() -> list[ModuleType]:
    """timetrial's modules that are loaded by now, but those of an entry's own namespace and what it is loaded with."""
    names = [name for name in sys.modules if name.startswith(OURS) and not name.startswith(_OF_AN_ENTRY)]
    return [sys.modules[name] for name in sorted(names)]


def names_of_classes(modules: Iterable[ModuleType]) -> dict[type, frozenset[str]]:
    """What the harness's classes have by themselves, by class: adding a name hides an inherited method."""
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {cls: _own_names(cls) for cls in classes if cls.__module__.startswith("harness.")}


def added_to(classes: Mapping[type, frozenset[str]]) -> Iterator[str]:
    """The full names of what they have now and had not."""
    for cls, names in classes.items():
        yield from (f"{cls.__module__}.{cls.__qualname__}.{name}" for name in sorted(_own_names(cls) - names))


def _own_names(cls: type) -> frozenset[str]:
    """Python itself adds some in double underscores when they are asked for."""
    return frozenset(name for name in vars(cls) if not name.startswith("__") or name in _SPECIAL)


def foundations() -> list[ModuleType]:
    """Python's own modules on which clocks, files and what the harness does between steps rest."""
    return [time, builtins, os, pathlib, gc, contextlib, random]


def fixed_parts(framework: str, workload: Workload) -> dict[str, Snapshot]:
    """By rule of ``timetrial check``: what a submission function must leave as it is."""
    modules = [*foundations(), *modules_of((*HARNESS_MODULES, *FRAMEWORK_MODULES[framework]))]
    return {
        "changes-workload": of_workload(workload),
        "patches": {member.label: id(member.value) for member in members(modules)},
        "global-settings": settings(framework),
    }


def hooks(framework: str) -> Snapshot:
    """What would be called in every model and for every function of a framework."""
    return _HOOKS[framework]()


def _torch_hooks() -> Snapshot:
    import torch
    from torch.nn.modules import module
    from torch.overrides import _get_current_function_mode_stack
    from torch.utils._device import DeviceContext

    tables = [name for name, value in vars(module).items() if name.startswith("_global_") and isinstance(value, dict)]
    modes = [mode for mode in _get_current_function_mode_stack() if not isinstance(mode, DeviceContext)]
    return {
        **{f"torch's {name[1:]}": list(vars(module)[name]) for name in tables},
        "torch's function modes": modes,
        "torch's dispatch modes": torch._C._len_torch_dispatch_stack(),
    }


_HOOKS: Mapping[str, Callable[[], Snapshot]] = {"torch": _torch_hooks, "jax": dict}


OF_A_CLASS = " (its class)"
"""Ends the names of what a workload has from its class."""


def of_workload(workload: Workload) -> Snapshot:
    """The object's attributes and what the harness's classes give it, as values that compare."""
    mine = {
        name: (id(value) if isinstance(value, np.ndarray) else repr(value))
        for name, value in vars(workload).items()
        if name not in _OWN_OF_THE_HARNESS
    }
    classes = {
        f"{cls.__name__}.{name}{OF_A_CLASS}": id(value)
        for cls in type(workload).__mro__
        if cls.__module__.startswith(("harness.", "workloads."))
        for name, value in vars(cls).items()
        if not name.startswith("__")
    }
    return {**mine, **classes}


def settings(framework: str) -> Snapshot:
    """Of the framework and the process."""
    return {**_SETTINGS[framework](), "the working directory": Path.cwd()}


def _of_torch() -> Snapshot:
    import torch

    return {
        "torch's number of threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's anomaly detection": torch.is_anomaly_enabled(),
    }


def _of_jax() -> Snapshot:
    import jax

    return {f"jax.config.{name}": value for name, value in jax.config.values.items()}


_SETTINGS: Mapping[str, Callable[[], Snapshot]] = {"torch": _of_torch, "jax": _of_jax}


def owners_in(loop: TrainingLoop) -> Mapping[str, Any]:
    """The harness's objects in a trial: none has an attribute that hides a method of its class."""
    return {
        "loop": loop,
        "clock": loop.clock,
        "queue": loop.queue,
        "backend": loop.backend,
        "workload": loop.workload,
        "judge": loop.judge,
        "checkpoints": loop.checkpoints,
    }


def parts_of(loop: TrainingLoop) -> list[Member]:
    """The attributes of the loop, its clock and its queue that training never sets."""
    fixed: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
        ("loop", loop, ("spec", "task", "send", "clock", "backend", "workload", "functions", "queue", "checkpoints")),
        (
            "loop",
            loop,
            ("limit", "input_queue", "judge", "watch", "confinement", "shown", "splits", "types", "hyperparameters"),
        ),
        ("workload", loop.workload, ("_backend",)),
        ("judge", loop.judge, ("_send", "_receive")),
        ("clock", loop.clock, ("_read_wall", "_read_cpu", "_wall")),
        ("queue", loop.queue, ("_seed", "_batch_size", "_augment", "_arrays", "_place", "_shuffle_run")),
        *((f"split {name}", arrays, tuple(arrays)) for name, arrays in loop.splits.items()),
        *(loop.watch.parts if loop.watch else ()),
    )
    found = []
    for label, owner, names in fixed:
        namespace = owner if isinstance(owner, Mapping) else vars(owner)
        found += [Member(f"{name} of the {label}", namespace, name, namespace[name]) for name in names]
    own = vars(type(loop))
    return found + [Member(f"{name} of the loop's class", own, name, value) for name, value in own.items()]
