"""A machine's GPUs, told by a program in the place of NVIDIA's tool; the last test takes a real one if there is one."""

import dataclasses
import functools
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness import accelerators
from harness.accelerators import Gpu, device_for, gpus, gpus_for, refuse_unused_gpu, slowed_usec, uses_gpu, visible
from harness.declarations import FRAMEWORKS
from harness.errors import UsageError
from harness.frameworks import load
from harness.launch import most_jobs, trial_slots
from harness.machine import machine_facts
from harness.run import run
from harness.speed import MOST_DRIFT, Moment, Speed, Waits, compared, gpu_kernels, kernel_times
from harness.suite import Request
from harness.worker import Slot
from results.machines import class_facts
from results.store import find_trials, read_trial

TWO = (Gpu("GPU-11aa", "NVIDIA H100", "550.54.15"), Gpu("GPU-22bb", "NVIDIA H100", "550.54.15"))

TOOL = """#!/bin/sh
case "$1" in
  --query-gpu=uuid,*) printf 'GPU-11aa, NVIDIA H100, 550.54.15\\nGPU-22bb, NVIDIA H100, 550.54.15\\n' ;;
  --query-gpu=clocks*) [ "$3" = --id=GPU-22bb ] && echo '30, 500, 7' ;;
  *) exit 6 ;;
esac
"""


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(accelerators.VISIBLE, raising=False)
    _forget()
    yield
    _forget()


def _forget():
    accelerators._installed.cache_clear()
    machine_facts.cache_clear()


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        (None, [0, 1]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("0,7,1", [0]),
        ("GPU-22", [1]),
        ("GPU-2, GPU-11aa", [1, 0]),
        ("GPU-", []),
        ("NoDevFiles", []),
    ],
)
def test_the_environment_leaves_what_cuda_would_leave(setting, found):
    assert visible(TWO, setting) == tuple(TWO[i] for i in found)


@given(st.lists(st.sampled_from(["0", "1", "2", "-1", "GPU-11aa", "GPU-2", "GPU-", "x", ""])))
def test_whatever_the_environment_says_no_gpu_is_made_up(words):
    assert set(visible(TWO, ",".join(words))) <= set(TWO)


def test_the_machine_tells_of_the_gpus_that_it_may_use(two_gpus, monkeypatch):
    assert gpus() == TWO
    assert machine_facts()["accelerators"] == ["NVIDIA H100, 550.54.15"] * 2
    monkeypatch.setenv(accelerators.VISIBLE, "1")
    assert gpus() == TWO[1:]
    assert slowed_usec(gpus()) == 537 and slowed_usec([]) is None and slowed_usec(TWO[:1]) is None


def test_a_machine_without_the_tool_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    _forget()
    assert gpus() == ()
    _forget()


def test_each_trial_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("harness.launch.whole_cores", lambda: [(core,) for core in range(8)])
    assert sorted(trial_slots(2, 1, TWO), key=lambda s: s.cores) == [Slot((0,), "GPU-11aa"), Slot((1,), "GPU-22bb")]
    with pytest.raises(UsageError, match=r"3 jobs need a GPU each, this machine has 2 \(NVIDIA H100\).*use --jobs 2"):
        trial_slots(3, 1, TWO)


def test_a_build_for_the_cpu_shares_out_no_gpus(two_gpus, monkeypatch):
    monkeypatch.setattr("harness.launch.whole_cores", lambda: [(core,) for core in range(8)])
    monkeypatch.setattr(accelerators, "_GPU_BUILDS", {"torch": lambda: True, "jax": lambda: False})
    assert gpus_for(["jax"]) == () and gpus_for(["jax", "torch"]) == TWO
    assert (device_for("torch"), device_for("jax")) == ("NVIDIA H100", "cpu")
    assert (most_jobs(1, ["jax"]), most_jobs(1, ["torch"]), most_jobs(1, [None]), most_jobs(8, [None])) == (8, 2, 2, 1)
    monkeypatch.setenv(accelerators.VISIBLE, "")
    assert most_jobs(2, [None]) == 4


def test_a_gpu_that_a_framework_for_gpus_does_not_reach_is_an_error(two_gpus, monkeypatch):
    monkeypatch.setattr(accelerators, "_GPU_BUILDS", {"torch": lambda: True, "jax": lambda: False})
    refuse_unused_gpu("torch", "NVIDIA H100")
    refuse_unused_gpu("jax", "cpu")
    with pytest.raises(RuntimeError, match="torch is built for GPUs and does not reach the NVIDIA H100 here: mend"):
        refuse_unused_gpu("torch", "cpu")
    monkeypatch.setenv(accelerators.VISIBLE, "")
    refuse_unused_gpu("torch", "cpu")


def test_one_framework_on_a_gpu_and_one_on_the_cpu_are_refused_before_anything_runs(two_gpus, monkeypatch, tmp_path):
    monkeypatch.setattr(accelerators, "_GPU_BUILDS", {"torch": lambda: True, "jax": lambda: False})
    request = Request(("mnist",), (("nadamw_cosine", None),), "self_tuning", studies=1, trials=1, max_steps=300)
    with pytest.raises(UsageError, match="jax on the cpu and torch on the NVIDIA H100 would train.*one --framework"):
        run(request, tmp_path / "out", console=Console(quiet=True), one_machine=True)
    assert not list(find_trials(tmp_path / "out"))


def test_builds_are_told_apart_as_the_frameworks_tell_themselves(monkeypatch):
    import torch

    assert uses_gpu("torch") is (torch.version.cuda is not None)
    plugins = {"jax_plugins": [types.SimpleNamespace(name="xla_cuda13")]}
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: plugins.get(group, []))
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert uses_gpu("jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not uses_gpu("jax")
    monkeypatch.delenv("JAX_PLATFORMS")
    plugins.clear()
    assert not uses_gpu("jax")


def test_a_trial_on_the_cpu_of_a_machine_with_gpus_is_of_the_class_without(two_gpus):
    facts = {**machine_facts(), "fingerprint": {**machine_facts()["fingerprint"], "cuda": "13"}}
    with_gpus = class_facts({**facts, "device": "NVIDIA H100"}, 1, {})
    assert with_gpus["accelerators"] == "2 x NVIDIA H100, driver 550" and with_gpus["cuda"] == "13"
    on_the_cpu = class_facts({**facts, "device": "cpu"}, 1, {})
    assert on_the_cpu["accelerators"] == "none" and "cuda" not in on_the_cpu
    assert on_the_cpu == class_facts({**facts, "accelerators": [], "device": "cpu"}, 1, {})
    assert json.dumps(machine_facts())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_kernels_of_a_gpu_run_in_both_frameworks(framework):
    kernels = gpu_kernels(load(framework), side=64, copied=1000)
    ticks = iter(range(10_000))
    times = kernel_times(3, lambda: next(ticks), kernels, warm_up_sec=5)
    assert times == {f"gpu {name}": [1, 1, 1] for name in MOST_DRIFT}


def test_a_gpu_that_was_slowed_disturbs_and_its_drift_is_kept_and_not_judged():
    kernels = {"compute": 1.0, "gpu compute": 1.0}
    before = Speed(kernels, 0.0, 0.0, None, gpu_slowed_usec=5)
    after = dataclasses.replace(before, kernels={**kernels, "gpu compute": 9.0})

    def found(before, after):
        return compared(Moment(before, Waits(0.0, {}, 0.0)), Moment(after, Waits(10.0, {}, 0.0)))

    kept, disturbed = found(before, after)
    assert disturbed == "" and kept["drift"]["gpu compute"] == 9.0 and kept["gpu_slowed_usec"] == 0
    kept, disturbed = found(before, dataclasses.replace(after, gpu_slowed_usec=2_500_005))
    assert disturbed == "the GPU was slowed for its heat or its power for 2.5 s"
    without = [dataclasses.replace(speed, gpu_slowed_usec=None) for speed in (before, after)]
    assert "gpu_slowed_usec" not in found(*without)[0]


def test_jax_is_waited_for_also_where_an_entry_keeps_an_array_to_itself():
    """Else it would be computed during evaluation, off the clock."""
    import jax
    import jax.numpy as jnp

    @functools.partial(jax.jit, static_argnums=1)
    def long(matrix, times):
        return jax.lax.fori_loop(0, times, lambda _, x: x @ matrix / 600.0, matrix)

    ones = jnp.ones((600, 600))
    load("jax").synchronize(long(ones, 40))
    kept = long(ones, 40)
    load("jax").synchronize()
    assert kept.is_ready()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_trial_says_what_it_trained_on_and_measures_it(framework, tmp_path, data_dir):
    """On a machine with a GPU this is a trial on a GPU."""
    request = Request(("mnist",), (("nadamw_cosine", framework),), "self_tuning", studies=1, trials=1, max_steps=300)
    run(request, tmp_path, console=Console(quiet=True))
    (folder,) = find_trials(tmp_path)
    record, device = read_trial(folder), device_for(framework)
    assert (record.steps, record.breaches, record.machine["device"]) == (300, (), device)
    on_a_gpu = {f"gpu {name}" for name in MOST_DRIFT} if device != "cpu" else set()
    assert record.speed["drift"].keys() == {*MOST_DRIFT, *on_a_gpu}
