"""How fast this machine is now: three small kernels, and what disturbs it. Measured before and after each trial, by its
judge, which holds nothing of the entry's; what the trial's process waited for, the command reads of the system.

The kernels stand for what training does: arithmetic, moving memory, and many small calls. Each is repeated, and the
fastest repetition counts: what is slower then is the machine, not a neighbour that came by for a moment. A trial on a
GPU measures the same three there too, through its framework.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from harness.accelerators import gpus, slowed_usec
from harness.frameworks import TrialBackend

REPEATS = 7
MOST_DRIFT: Mapping[str, float] = {"compute": 1.25, "memory": 2.0, "calls": 1.25}
"""A kernel may be so much slower or faster after a trial than before. Cores share the memory's bandwidth: that kernel
follows what a neighbour does at that moment, and a trial's steps do not. docs/harness.md has the measurements. Nothing
is made of a GPU's drift: how much of it is usual was not measured."""
MOST_WAITED = 0.2
"""Share of a trial's wall time in which its process may have been ready to run, and not running."""
_SIDE, _COPIED, _CALLS = 256, 2**22, 1500
_GPU_SIDE, _GPU_COPIED, _GPU_CALLS = 4096, 2**26, 300
_WARM_UP_SEC = 0.3
"""A GPU that has idled raises its clock within some tenths of a second."""


def _compute() -> Callable[[], object]:
    matrix = np.full((_SIDE, _SIDE), 1.0 / _SIDE, np.float32)
    out = np.empty_like(matrix)
    return lambda: np.matmul(matrix, matrix, out=out)


def _memory() -> Callable[[], object]:
    source, target = np.ones(_COPIED, np.float32), np.empty(_COPIED, np.float32)
    return lambda: np.copyto(target, source)


def _calls() -> Callable[[], object]:
    small = np.ones(8, np.float32)

    def call() -> None:
        for _ in range(_CALLS):
            np.multiply(small, small, out=small)

    return call


Kernel = Callable[[], Callable[[], object]]
"""Makes what it works on; what it returns is timed."""
KERNELS: Mapping[str, Kernel] = {"compute": _compute, "memory": _memory, "calls": _calls}


def gpu_kernels(backend: TrialBackend, side: int = _GPU_SIDE, copied: int = _GPU_COPIED) -> Mapping[str, Kernel]:
    """The same three on a framework's device, whose arrays multiply alike in both frameworks; each waits for the device
    before it returns.

    Args:
      backend: the framework's.
      side: of the square matrices that are multiplied.
      copied: how many float32 numbers are moved.
    """

    def timed(shape: tuple[int, ...], work: Callable[[Any], Any]) -> Callable[[], Callable[[], object]]:
        def make() -> Callable[[], object]:
            array = backend.ones(*shape)
            return lambda: backend.synchronize(work(array))

        return make

    def many_calls(array: Any) -> Any:
        for _ in range(_GPU_CALLS):
            array = array * array
        return array

    return {
        "gpu compute": timed((side, side), lambda matrix: matrix @ matrix),
        "gpu memory": timed((copied,), lambda numbers: numbers * 2.0),
        "gpu calls": timed((8,), many_calls),
    }


def kernel_times(
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
    kernels: Mapping[str, Kernel] = KERNELS,
    warm_up_sec: float = 0.0,
) -> dict[str, list[float]]:
    """Seconds of each repetition, by kernel; takes about 0.1 s on an idle core."""
    found = {}
    for name, make in kernels.items():
        kernel = make()
        kernel()  # touches the memory
        warm = clock() + warm_up_sec
        while warm_up_sec and clock() < warm:
            kernel()
        times = []
        for _ in range(repeats):
            before = clock()
            kernel()
            times.append(clock() - before)
        found[name] = times
    return found


def all_kernel_times(backend: TrialBackend | None, repeats: int = REPEATS) -> dict[str, list[float]]:
    """Of the cores' kernels, and of the GPU's where the framework computes on one."""
    times = kernel_times(repeats)
    if backend and backend.device_name != "cpu":
        times |= kernel_times(repeats, kernels=gpu_kernels(backend), warm_up_sec=_WARM_UP_SEC)
    return times


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast the machine is at a moment.

    Attributes:
      kernels: the fastest repetition of each kernel, in seconds.
      load: processes that want to run, on all cores (one-minute average); None where the system does not tell.
      steal_sec: how long a virtual machine's cores were taken by other machines, in all.
      throttled: how often a core slowed itself for its heat, in all.
      gpu_slowed_usec: how long the GPU was slowed for its heat or a power failure, in all; None without one.
    """

    kernels: Mapping[str, float]
    load: float | None
    steal_sec: float | None
    throttled: int | None
    gpu_slowed_usec: int | None = None


@dataclasses.dataclass(frozen=True)
class Waits:
    """How long a process has waited until a moment.

    Attributes:
      at: the moment, in seconds of wall time.
      waited_sec: how long each of its living threads has been ready to run and was not, in all, by its number.
      unused_sec: core seconds until then, on the cores that the process may use, less its own CPU time.
    """

    at: float
    waited_sec: Mapping[int, float]
    unused_sec: float


def measure(backend: TrialBackend | None = None) -> Speed:
    """Measures the cores, and the GPU that a framework computes on, if it does."""
    times = all_kernel_times(backend)
    slowed = slowed_usec(gpus()[:1]) if backend and backend.device_name != "cpu" else None
    fastest = {name: min(of_kernel) for name, of_kernel in times.items()}
    return Speed(fastest, _load(), _steal_sec(), _throttled(), slowed)


def waits_of(pid: int, cores: int) -> Waits:
    """Of a process that may use so many cores, as another one sees it."""
    now = time.perf_counter()
    try:
        used = sum(psutil.Process(pid).cpu_times()[:2])
    except psutil.Error:  # it is gone
        return Waits(now, {}, cores * now)
    return Waits(now, _waited_sec(pid), cores * now - used)


class Moment(NamedTuple):
    """A measurement before or after a trial."""

    speed: Speed
    process: Waits


def compared(start: Moment, end: Moment) -> tuple[dict[str, object], str]:
    """What a record keeps of a trial's two measurements, and why the trial counts as disturbed (empty: it does not)."""
    (before, began), (after, ended) = start, end
    drift = {name: after.kernels[name] / before.kernels[name] for name in before.kernels}
    passed = ended.at - began.at
    waits = [seconds - began.waited_sec.get(thread, 0.0) for thread, seconds in ended.waited_sec.items()]
    # Threads that take turns wait by turns; while they wait for each other, the process misses nothing.
    unused = ended.unused_sec - began.unused_sec
    waited = max(0.0, min(unused, max(waits))) if waits else None
    kept: dict[str, object] = {
        "kernels_before_sec": {name: float(f"{sec:.4g}") for name, sec in before.kernels.items()},
        "drift": {name: round(ratio, 3) for name, ratio in drift.items()},
        "load": after.load,
        "waited_share": None if waited is None else round(waited / passed, 4),
        "steal_sec": _difference(before.steal_sec, after.steal_sec),
        "throttled": _difference(before.throttled, after.throttled),
    }
    gpu_slowed = _difference(before.gpu_slowed_usec, after.gpu_slowed_usec)
    if gpu_slowed is not None:
        kept["gpu_slowed_usec"] = gpu_slowed
    reasons = [
        f"{name} took {ratio:.2f} times as long after the trial as before it"
        for name, ratio in drift.items()
        if name in MOST_DRIFT and not 1 / MOST_DRIFT[name] <= ratio <= MOST_DRIFT[name]
    ]
    if waited is not None and waited > MOST_WAITED * passed:
        reasons.append(f"its process waited for a core {waited / passed:.0%} of the time")
    if kept["throttled"]:
        reasons.append("a core was slowed for its heat")
    if gpu_slowed:
        reasons.append(f"the GPU was slowed for its heat or its power for {gpu_slowed / 1e6:.1f} s")
    return kept, "; ".join(reasons)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 4)


# ---- what the system tells ----


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _waited_sec(pid: int) -> dict[int, float]:
    """The second number of Linux's scheduler statistics, in nanoseconds; empty elsewhere."""
    found = {}
    for path in Path("/proc", str(pid), "task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            found[int(path.parent.name)] = int(path.read_text().split()[1]) / 1e9
    return found


def _steal_sec() -> float | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")
    return None


def _throttled() -> int | None:
    counts = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        with contextlib.suppress(OSError, ValueError):
            counts.append(int(path.read_text()))
    return sum(counts) if counts else None
