"""Facts about this machine that decide how fast it is, and a class id made of the stable ones."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from harness.accelerators import device_for, gpus
from harness.frameworks import THREAD_VARIABLES
from harness.seeds import digest
from results.machines import MachineClass, class_facts
from results.record import TrialRecord


def usable_cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def whole_cores() -> list[tuple[int, ...]]:
    """The same, hardware threads of one core together: they share its units, so that trials on two of them slow each
    other. Where the system does not tell (a virtual machine may hide it), each stands alone."""
    return _grouped({core: _siblings(core) for core in usable_cores()})


def _siblings(core: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text().strip()
    return str(core)


def _grouped(siblings: Mapping[int, str]) -> list[tuple[int, ...]]:
    """Cores whose lists of siblings are the same."""
    groups: dict[str, list[int]] = {}
    for core, listed in siblings.items():
        groups.setdefault(listed, []).append(core)
    return [tuple(group) for group in groups.values()]


def peak_memory_bytes() -> int:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal and waits to go on; False once it is gone."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


def parent_of(pid: int | None) -> int | None:
    """Whose child a process is; None where that cannot be told."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).ppid() if pid else None
    return None


def has_ended(pid: int | None) -> bool:
    """Whether a process is gone, also where nobody has asked for its exit code yet; False for None."""
    if pid is None:
        return False
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def descendants(pid: int) -> set[int]:
    """Numbers of the processes that a process has started, and those have, and which are still there."""
    try:
        lists = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # it ended while it was looked at
        return set()
    if not lists:  # not Linux, or the process is gone or out of reach
        with contextlib.suppress(psutil.Error, OSError):
            return {child.pid for child in psutil.Process(pid).children(recursive=True)}
        return set()
    found: set[int] = set()
    for path in lists:
        with contextlib.suppress(OSError):
            found |= {int(word) for word in path.read_text().split()}
    return found.union(*map(descendants, found))


@functools.cache
def machine_facts() -> Mapping[str, Any]:
    """CPU model and cores, memory, accelerators, system; ``class`` is a digest of them. ``fingerprint`` holds more that
    decides how fast they are."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": len(usable_cores()),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "accelerators": [f"{gpu.name}, {gpu.driver}" for gpu in gpus()],
        "system": f"{platform.system()} {platform.machine()}",
    }
    facts["fingerprint"] = fingerprint()
    # an id for people; what compares is decided from the facts (results.machines)
    return {**facts, "class": digest(class_facts(facts, threads=0, versions={}))[:12]}


def other_class(record: TrialRecord, threads: int, versions: Mapping[str, str]) -> str:
    """Which fact makes a record's machine class another one than that of trials run here, with these threads and
    versions (``cpu is 'A' there, 'B' here``); empty where it is the same."""
    facts = {**machine_facts(), "device": device_for(record.spec.key.framework)}
    here = MachineClass(class_facts(facts, threads, versions), "")
    there = class_facts(record.machine, record.spec.threads, record.spec.versions)
    return next((f"{name} is {there[name]!r} there, {here.facts[name]!r} here" for name in here.differs(there)), "")


def fingerprint() -> Mapping[str, Any]:
    """Instruction sets, BLAS, thread settings, CUDA and the operating system's version; stable from boot to boot."""
    flags = _cpu_lines("flags") or _cpu_lines("Features")
    return {
        "instruction_sets": [name for name in _INSTRUCTION_SETS if name in flags.split()],
        "all_cores": os.cpu_count(),
        "whole_cores": len(whole_cores()),
        "blas": _blas(),
        "cuda": _cuda_major(),
        "kernel": platform.release().partition("-")[0],
        "threads": {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
    }


_INSTRUCTION_SETS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_tile",
    "asimd",
    "sve",
)


def _blas() -> str:
    found = np.show_config(mode="dicts")
    blas = found.get("Build Dependencies", {}).get("blas", {}) if isinstance(found, Mapping) else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _cuda_major() -> str:
    try:
        found = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r"CUDA Version: (\d+)", found)
    return match[1] if match else ""


def _cpu_lines(name: str) -> str:
    """The first line of that name in the kernel's description of the cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _cpu_model() -> str:
    return _cpu_lines("model name") or platform.processor() or platform.machine()
