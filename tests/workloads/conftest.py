"""Every workload and variant by name, and batches of their mini data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness import workloads
from harness.plan import plan_trials
from harness.spec import BASE, Workload
from harness.suite import Request
from harness.trial import run_trial

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
        augmented = workload.augment(stored, np.random.RandomState(0)) if workload.augments else stored
        return dict(workload.collate(augmented))

    return make


def tiled(array, length):
    """Repeats along the second axis until it is ``length`` long."""
    repeats = -(-length // array.shape[1])
    return np.tile(array, (1, repeats, *(1 for _ in array.shape[2:])))[:, :length]


def longer_context(workload, batch):
    return {**batch, **{name: tiled(batch[name], 256) for name in ("inputs", "targets")}}


def all_tasks(workload, batch):
    return {**batch, **{name: tiled(batch[name], workload.model_config["tasks"]) for name in ("targets", "weights")}}


def larger_pictures(workload, batch):
    side, targets = workload.model_config["side"], batch["targets"]
    more = workload.model_config["classes"] - targets.shape[1]
    inputs = np.tile(batch["inputs"], (1, 5, 5, 1))[:, :side, :side]
    return {**batch, "inputs": inputs, "targets": np.pad(targets, ((0, 0), (0, more)))}


def slower_speech(workload, batch):
    """Four times as slow: at the full sampling rate the mini utterances would have fewer outputs than tokens."""
    return {**batch, "inputs": tuple(np.repeat(array, 4, axis=1) for array in batch["inputs"])}


FITTED = {
    "finewebedu_lm": longer_context,
    "imagenet_vit": larger_pictures,
    "librispeech_conformer": slower_speech,
    "librispeech_deepspeech": slower_speech,
    "ogbg": all_tasks,
}
"""How mini examples are made to fit a full-scale model, where they do not as they are."""


@pytest.fixture
def full_batch(small_batch):
    """A function from a full-scale workload to a small training batch, of mini examples that fit its model."""

    def make(workload: Workload, size: int = 2) -> dict[str, np.ndarray]:
        batch = small_batch(type(workload)(workload.variant), size)
        return FITTED[workload.name](workload, batch) if workload.name in FITTED else batch

    return make


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-12])


def _corrupt(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))


def _web_page(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture(params=[_cut, _corrupt, _web_page, _empty, Path.unlink], ids=lambda damage: damage.__name__.strip("_"))
def damage(request):
    """A function that damages or removes a file, in a way that a gzip reader can notice."""
    return request.param


@pytest.fixture
def train_at_full_scale():
    """Three steps of AdamW in this process, on the real data in a folder; the outcome and the last evaluation."""

    def train(name: str, data_dir: Path, framework: str):
        request = Request(
            (name,), (("adamw_linear", framework),), "self_tuning", 1, 1, scale="full", max_steps=3, data_dir=data_dir
        )
        (planned,) = plan_trials(request)
        rows = []
        outcome = run_trial(planned.task, lambda kind, row: rows.append(row) if kind == "evaluation" else None)
        return outcome, rows[-1]

    return train
