"""Imports every workload's modules, for the frameworks that are loaded, when it is imported itself.

A trial's process is a copy of one that did, so which modules are there says nothing about the workload that it trains.
Generators are left out: one that an entry imports is seen as its file is read.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys

import workloads
from harness.declarations import FRAMEWORKS

_ABSENT = tuple(f"_{framework}" for framework in FRAMEWORKS if f"harness.frameworks.{framework}" not in sys.modules)
_LEFT_OUT = ("generator", *_ABSENT)

for module in pkgutil.walk_packages(workloads.__path__, f"{workloads.__name__}."):
    if not module.name.endswith(_LEFT_OUT):
        with contextlib.suppress(Exception):  # a workload that cannot be imported is no other workload's concern
            importlib.import_module(module.name)
