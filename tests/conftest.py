"""Shared set-up: one thread per process, data cached once per test session, entries written on the fly."""

from __future__ import annotations

import multiprocessing.forkserver
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import hypothesis
import jax
import pytest

from harness.declarations import FRAMEWORKS
from harness.frameworks import set_thread_environment
from harness.launch import fork_server
from harness.machine import usable_cores

set_thread_environment(1)
os.environ["TIMETRIAL_RERUN_DISTURBED"] = (
    "0"  # whether this machine is busy must not decide how many trials a test runs
)


def pin_to_own_core() -> None:
    """Gives each test process a core, so that the trials of two of them do not share one while the other idles."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    cores = usable_cores()
    if worker and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


pin_to_own_core()
# What a test compiles in its own process runs a few times; compiling it well takes longer than that saves, and changes
# no value by more than rounding. Trials are processes of their own, and compile as they do for everybody.
jax.config.update("jax_disable_most_optimizations", True)
if "PYTEST_XDIST_WORKER" in os.environ:
    # What a fork server imports is settled when it starts: for hundreds of tests, everything that a trial may need.
    fork_server(1, FRAMEWORKS, folds=True)
    multiprocessing.forkserver.ensure_running()
hypothesis.settings.register_profile("no_deadline", deadline=None)  # a shared machine may stall
hypothesis.settings.load_profile("no_deadline")

TORCH_ENTRY = """
import torch
from harness import spec

LEARNING_RATE = 1e-3

def get_batch_size(workload_name):
    raise ValueError(workload_name)

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=LEARNING_RATE)}

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    optimizer = optimizer_state["optimizer"]
    optimizer.zero_grad(set_to_none=True)
    logits, model_state = workload.model_fn(
        current_param_container, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    optimizer.step()
    return optimizer_state, current_param_container, model_state
"""

JAX_ENTRY = """
import jax
import optax
from harness import spec

LEARNING_RATE = 1e-3

def get_batch_size(workload_name):
    raise ValueError(workload_name)

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    tx = optax.adam(LEARNING_RATE)

    @jax.jit
    def update(params, state, model_state, batch, rng):
        def loss_of(params):
            logits, new_state = workload.model_fn(params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True)
            loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
            return loss["summed"] / loss["n_valid_examples"], new_state

        gradients, new_state = jax.grad(loss_of, has_aux=True)(params)
        updates, state = tx.update(gradients, state, params)
        return state, optax.apply_updates(params, updates), new_state

    return tx.init(model_params), update

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    state, update = optimizer_state
    state, params, model_state = update(current_param_container, state, model_state, batch, rng)
    return (state, update), params, model_state
"""

ENTRIES = {"torch": TORCH_ENTRY, "jax": JAX_ENTRY}


@pytest.fixture(scope="session", autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data cache for all test processes of a session, away from the user's own."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "timetrial-data"
    os.environ["TIMETRIAL_DATA_DIR"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def entry_sources() -> dict[str, str]:
    """A plain Adam as submission.py, by framework."""
    return ENTRIES


@pytest.fixture
def write_entry(tmp_path: Path) -> Callable[..., Path]:
    """Writes an entry's folder: a plain Adam in a framework, with lines replaced and a tail appended."""

    def write(name: str, framework: str = "torch", replace: dict[str, str] | None = None, tail: str = "") -> Path:
        source = ENTRIES[framework]
        for old, new in (replace or {}).items():
            assert old in source
            source = source.replace(old, new)
        folder = tmp_path / "entries" / name
        folder.mkdir(parents=True)
        (folder / "submission.py").write_text(source + textwrap.dedent(tail))
        return folder

    return write
