"""What a trial is judged by: its parameters and statistics as numbers, evaluated in a model that no entry has held.

A trial evaluates them so while it runs. Those that meet the target are kept, and evaluated once more in a process
without the entry.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from harness.clock import process_cpu_sec
from harness.data import evaluation_batches
from harness.frameworks import TrialBackend, load
from harness.resampling import resampling_of
from harness.seeds import key_words
from harness.spec import EvalBatch, Workload
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


@dataclasses.dataclass(frozen=True)
class Verified:
    """What the claimed parameters reach in a clean process.

    Attributes:
      value: of the workload's metric on the validation split.
      wall_sec: of the whole verification.
      evaluation_cpu_sec: process CPU time of one evaluation of the validation split, compilation apart.
      compile_cpu_sec: of all that happens in the first evaluation alone.
    """

    value: float
    wall_sec: float
    evaluation_cpu_sec: float
    compile_cpu_sec: float


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


class Judge:
    """Evaluates values in a model of its own: hooks, classes and compiled functions of a submission have no part in it.

    Args:
      workload: bound to ``backend``, the framework's plain one.
    """

    def __init__(self, workload: Workload, backend: TrialBackend) -> None:
        self._workload, self._backend = workload, backend
        self._params, self._state = workload.init_model_fn(backend.random_key(key_words(0, 0)))

    def evaluated(self, values: Values, arrays: Mapping[str, np.ndarray]) -> Iterator[EvalBatch]:
        """Losses and logits of a split's batches, in order."""
        workload, backend = self._workload, self._backend
        self._params = backend.import_parameters(workload, self._params, values.parameters)
        if values.statistics:
            self._state = backend.import_statistics(workload, self._params, self._state, values.statistics)
        stored = evaluation_batches(arrays, workload.eval_batch_size)
        return backend.evaluated(workload, self._params, self._state, map(workload.collate, stored))


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


def save_claim(path: Path, values: Values) -> None:
    """Writes values; numbers only, nothing that runs when it is read.

    Raises:
      OSError: it cannot be written.
    """
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


def _unheeded(frame: FrameType, event: str, argument: object) -> None:
    """Takes as long as hearing of every call does."""


def verify(task: TrialTask) -> Verified:
    """Evaluates the claimed parameters anew, without anything of the entry.

    Raises:
      ClaimError: there is nothing to evaluate.
    """
    assert task.claim is not None
    started = time.perf_counter()
    backend = load(task.spec.key.framework)
    backend.set_threads(task.spec.threads)
    workload = workload_of(task, backend)
    values, judge = read_claim(task.claim / CLAIM_FILE, workload), Judge(workload, backend)
    arrays = workload.examples("validation")
    times = [process_cpu_sec()]
    if task.entry.kind == "module":  # as such a trial evaluates, see harness.watch
        sys.setprofile(_unheeded)
    for batches in (1, None):  # the first compiles
        found = workload.evaluate(itertools.islice(judge.evaluated(values, arrays), batches))
        times.append(process_cpu_sec())
    sys.setprofile(None)
    compiling, evaluating = (later - earlier for earlier, later in itertools.pairwise(times))
    return Verified(found[workload.metric.name], time.perf_counter() - started, evaluating, compiling)
