"""What a trial is judged by: its parameters and statistics as numbers. Those that meet the target are kept, and
evaluated once more after the trial, see :mod:`harness.judge`."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.frameworks import TrialBackend
from harness.resampling import resampling_of
from harness.spec import Workload
from harness.task import TrialTask
from harness.workloads import make_workload

CLAIM_FILE = "claim.npz"
_PARAMETER, _STATISTIC = "parameter/", "statistic/"


class ClaimError(Exception):
    """The claim is not there, is damaged, or does not hold the workload's parameters."""


@dataclasses.dataclass(frozen=True)
class Values:
    """Parameters and statistics on the host, float32, by their declared names."""

    parameters: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray]

    def packed(self) -> Packed:
        """Bytes of their own: what is done to the arrays afterwards changes nothing, and nothing runs when they are
        sent, as it does for a type of which an entry may say how it is pickled."""
        return Packed(*(_packed(part) for part in (self.parameters, self.statistics)))


PackedArrays = tuple[tuple[str, tuple[int, ...], bytes], ...]
"""Arrays of float32 by name and shape."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """Values as Python's own plain types."""

    parameters: PackedArrays
    statistics: PackedArrays

    def unpacked(self) -> Values:
        return Values(*(_unpacked(part) for part in (self.parameters, self.statistics)))


def _packed(arrays: Mapping[str, np.ndarray]) -> PackedArrays:
    return tuple((str.__str__(name), tuple(map(int, array.shape)), array.tobytes()) for name, array in arrays.items())


def _unpacked(arrays: PackedArrays) -> Mapping[str, np.ndarray]:
    return {name: np.frombuffer(bytearray(data), np.float32).reshape(shape) for name, shape, data in arrays}


def workload_of(task: TrialTask, backend: TrialBackend) -> Workload:
    """The workload of a trial, bound to a framework."""
    spec, key = task.spec, task.spec.key
    resampling = resampling_of(key.fold, spec.split_seed)
    return make_workload(key.workload, spec.scale, task.data_dir, spec.step_hint, resampling).bind(backend)


def values_of(workload: Workload, backend: TrialBackend, params: Any, model_state: Any) -> Values:
    """Copies of what a submission holds, by declared name; nothing of its own objects is in them.

    Raises:
      ClaimError: the model lacks the workload's parameters.
    """
    try:
        parameters = backend.export_parameters(workload, params)
        statistics = backend.export_statistics(workload, params, model_state) if workload.statistics() else {}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ClaimError(f"the model lacks the workload's parameters ({type(error).__name__}: {error})") from error
    return Values(*({k: np.asarray(v, np.float32) for k, v in part.items()} for part in (parameters, statistics)))


@contextlib.contextmanager
def garbage_kept() -> Iterator[None]:
    """While it lasts no cycles are collected: a submission's object may have a ``__del__`` that works."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def save_claim(path: Path, packed: Packed) -> None:
    """Writes values; numbers only, nothing that runs when it is read.

    Raises:
      OSError: it cannot be written.
    """
    values = packed.unpacked()
    kinds = ((_PARAMETER, values.parameters), (_STATISTIC, values.statistics))
    arrays = {kind + name: array for kind, part in kinds for name, array in part.items()}
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def read_claim(path: Path, workload: Workload) -> Values:
    """What was kept.

    Raises:
      ClaimError: see there.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ClaimError("kept no parameters when it met the target") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ClaimError(f"kept parameters that cannot be read: {error}") from None
    expected = {_PARAMETER + p.name: p.shape for p in workload.parameters()}
    expected |= {_STATISTIC + s.name: s.shape for s in workload.statistics()}
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != tuple(shape):
            found = arrays[name].shape if name in arrays else "nothing"
            raise ClaimError(f"kept {found} for {name.partition('/')[2]}, which has the shape {tuple(shape)}")
    parts = (
        {name.removeprefix(kind): arrays[name] for name in expected if name.startswith(kind)}
        for kind in (_PARAMETER, _STATISTIC)
    )
    return Values(*parts)
