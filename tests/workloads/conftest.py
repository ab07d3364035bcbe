"""Every workload and variant by name, and batches of their mini data."""

from __future__ import annotations

import numpy as np
import pytest

from harness import workloads
from harness.spec import BASE, Workload

NAMES = workloads.workload_names()
CASES = [(name, variant) for name in NAMES for variant in (BASE, *workloads.workload_class(name).variants)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"name", "variant"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("name", "variant"), CASES, ids=[f"{name}-{variant}" for name, variant in CASES])
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", NAMES)


@pytest.fixture
def workload_class():
    """A function from a name to the workload's class."""
    return workloads.workload_class


@pytest.fixture
def small_batch():
    """A function from a workload to a small training batch as the model takes it, on the host."""

    def make(workload: Workload, size: int = 8) -> dict[str, np.ndarray]:
        stored = {key: np.array(array[:size]) for key, array in workload.load_split("train").items()}
        return dict(workload.collate(stored))

    return make
