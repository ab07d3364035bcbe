"""GPUs: which this process may use, which frameworks use one, and what throttles them. NVIDIA's tool is asked; CUDA is
not started, because trials are forked."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import runpy
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from harness.declarations import Framework

VISIBLE = "CUDA_VISIBLE_DEVICES"
_TIMEOUT_SEC = 10.0
_SLOWED = ("sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown")
"""Of the driver's counters of microseconds; a power cap is left out, since a busy GPU of some kinds always meets it."""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """``uuid`` is what :data:`VISIBLE` takes whatever order CUDA numbers the GPUs in."""

    uuid: str
    name: str
    driver: str


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, in the order in which it may."""
    return visible(_installed(), os.environ.get(VISIBLE))


def visible(installed: Sequence[Gpu], setting: str | None) -> tuple[Gpu, ...]:
    """What a value of ``CUDA_VISIBLE_DEVICES`` leaves of the installed GPUs: numbers (as ``nvidia-smi`` counts) or
    beginnings of UUIDs, up to the first that there is not."""
    if setting is None:
        return tuple(installed)
    found: list[Gpu] = []
    for word in map(str.strip, setting.split(",")):
        if word.isdigit():
            chosen = list(installed[int(word) : int(word) + 1])
        else:
            chosen = [gpu for gpu in installed if word and gpu.uuid.startswith(word)]
        if len(chosen) != 1:
            break
        found += chosen
    return tuple(found)


@functools.cache
def _installed() -> tuple[Gpu, ...]:
    rows = (line.split(", ") for line in query("uuid,name,driver_version"))
    return tuple(Gpu(*row) for row in rows if len(row) == 3)


def query(columns: str, uuid: str = "") -> list[str]:
    """Lines of values, one per GPU; none where there is no GPU, or the tool does not know a column."""
    command = ["nvidia-smi", f"--query-gpu={columns}", "--format=csv,noheader,nounits"]
    command += [f"--id={uuid}"] if uuid else []
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SEC, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return found.stdout.strip().splitlines()


def slowed_usec(chosen: Iterable[Gpu]) -> int | None:
    """For how many microseconds the GPUs were slowed for their heat or a power failure, since their driver started;
    None where it does not tell."""
    columns = ",".join(f"clocks_event_reasons_counters.{name}" for name in _SLOWED)
    words = [word.strip() for gpu in chosen for line in query(columns, gpu.uuid) for word in line.split(",")]
    return sum(map(int, words)) if words and all(word.isdigit() for word in words) else None


def uses_gpu(framework: Framework) -> bool:
    """Whether the installed build of a framework computes on NVIDIA's GPUs. It is not imported."""
    return _GPU_BUILDS[framework]()


def gpus_for(frameworks: Iterable[Framework]) -> tuple[Gpu, ...]:
    """The GPUs that trials of these frameworks share out; none where they train on the CPU."""
    return gpus() if any(map(uses_gpu, frameworks)) else ()


def device_for(framework: Framework) -> str:
    """The kind of device that a trial of a framework will train on: a GPU's name, or ``cpu``."""
    return next((gpu.name for gpu in gpus_for([framework])), "cpu")


def refuse_unused_gpu(framework: Framework, device: str) -> None:
    """
    Raises:
      RuntimeError: a framework that could use a GPU trains on the CPU, so that its times would pass for the GPU's.
    """
    wanted = device_for(framework) if device == "cpu" else "cpu"
    if wanted != "cpu":
        raise RuntimeError(
            f"{framework} is built for GPUs and does not reach the {wanted} here: mend the driver or the installation "
            f"(its own diagnosis shows outside timetrial), or train on the CPU with {VISIBLE}= in the environment"
        )


@functools.cache
def _torch_has_cuda() -> bool:
    spec = importlib.util.find_spec("torch")
    version = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    return bool(version and version.is_file() and runpy.run_path(str(version)).get("cuda"))


def _jax_has_cuda() -> bool:
    if os.environ.get("JAX_PLATFORMS", "").partition(",")[0] == "cpu":
        return False
    return any("cuda" in plugin.name for plugin in importlib.metadata.entry_points(group="jax_plugins"))


_GPU_BUILDS: Mapping[Framework, Callable[[], bool]] = {"torch": _torch_has_cuda, "jax": _jax_has_cuda}
