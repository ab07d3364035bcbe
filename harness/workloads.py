"""Finds workloads: every folder of the ``workloads`` package that holds a ``workload.py``."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from pathlib import Path

import workloads as _package
from harness.errors import UsageError, unknown
from harness.spec import BASE, FRAMEWORKS, Framework, Resampling, Scale, Workload

SCALES: tuple[Scale, ...] = ("mini", "full")


@functools.cache
def workload_names() -> tuple[str, ...]:
    folder = Path(_package.__path__[0])
    return tuple(sorted(path.parent.name for path in folder.glob("*/workload.py")))


def workload_class(name: str) -> type[Workload]:
    """The class that defines a workload.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in workload_names():
        raise unknown("workload", name, workload_names())
    return importlib.import_module(f"workloads.{name}.workload").WORKLOAD


def frameworks_of(name: str) -> tuple[Framework, ...]:
    """The frameworks in which a workload's model is written."""
    folder = Path(_package.__path__[0]) / name
    return tuple(framework for framework in FRAMEWORKS if (folder / f"model_{framework}.py").exists())


def split_name(full_name: str) -> tuple[str, str]:
    """``criteo1tb_layernorm`` -> (``criteo1tb``, ``layernorm``); a bare name has the variant ``base``.

    Raises:
      UsageError: no workload, or no variant of it, has that name.
    """
    if full_name in workload_names():
        return full_name, BASE
    for name in sorted(workload_names(), key=len, reverse=True):
        if full_name.startswith(f"{name}_"):
            variant = full_name.removeprefix(f"{name}_")
            known = workload_class(name).variants
            if variant in known or variant == BASE:
                return name, variant
            raise unknown(f"variant of {name}", variant, known)
    raise unknown("workload", full_name, workload_names())


def distinct(full_names: Iterable[str]) -> tuple[str, ...]:
    """The names without those of a workload that was named before (``mnist`` and ``mnist_base`` are one).

    Raises:
      UsageError: a name is unknown.
    """
    found: dict[tuple[str, str], str] = {}
    for name in full_names:
        found.setdefault(split_name(name), name)
    return tuple(found.values())


def make_workload(
    full_name: str,
    scale: Scale = "mini",
    data_dir: Path | None = None,
    step_hint: int | None = None,
    resampling: Resampling | None = None,
) -> Workload:
    """A workload by its full name, for example ``mnist`` or ``criteo1tb_layernorm``.

    Raises:
      UsageError: unknown name or scale.
    """
    name, variant = split_name(full_name)
    if scale not in SCALES:
        raise UsageError(f"unknown scale {scale!r}; use mini or full")
    workload = workload_class(name)(variant, scale, data_dir, step_hint)
    workload.resampling = resampling
    return workload
