"""One module per framework: model and loss for the workload, placement, synchronisation and seeding for the trial."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from harness.spec import Backend, EvalBatch, Framework, Workload

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class TrialBackend(Backend, Protocol):
    """A backend with what the training loop needs beside the workload's model."""

    @property
    def device_name(self) -> str:
        """The GPU's name, or ``cpu``."""

    def ones(self, *shape: int) -> Any:
        """A float32 array on the device."""

    def set_threads(self, threads: int) -> None: ...

    def seed_everything(self, seed: int) -> None:
        """Seeds the global generators that a submission may use."""

    def random_key(self, words: np.ndarray) -> Any:
        """The framework's random key from two uint32 words."""

    def to_framework(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """A numpy batch as tensors on the device."""

    def synchronize(self, *trees: Any) -> None:
        """Waits until the device has finished what leads to ``trees``, and whatever else it was asked to do."""

    def evaluated(
        self, workload: Workload, params: Any, model_state: Any, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[EvalBatch]:
        """Losses and logits of each batch, in evaluation mode."""
        ...

    def is_container(self, value: Any, like: Any) -> bool: ...

    def structure(self, params: Any) -> Mapping[str, tuple[int, ...]]:
        """Shapes of all parameters by name, as Python's own numbers and texts: compared later, they run nothing."""

    def versions(self) -> dict[str, str]: ...


@functools.cache
def load(framework: Framework) -> TrialBackend:
    """The backend of a framework; imports the framework."""
    return importlib.import_module(f"harness.frameworks.{framework}").create()


def set_thread_environment(threads: int) -> None:
    """Fixes thread counts for libraries that are imported later in this process or its children.

    Idle OpenMP threads must sleep: by default they spin, which slows a neighbour on the same core by orders of
    magnitude. XLA has its own pool, which only these flags (and pinning the process) confine.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
    )
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
