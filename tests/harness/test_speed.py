import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.machine import descendants, is_stopped, machine_facts
from harness.speed import KERNELS, MOST_DRIFT, Moment, Speed, Waits, compared, kernel_times, measure, waits_of

QUIET = Moment(
    Speed({"compute": 1.0, "memory": 2.0}, load=1.0, steal_sec=1.0, throttled=3),
    Waits(at=100.0, waited_sec={7: 5.0}, unused_sec=10.0),
)


def changed(moment, **changes):
    return Moment(
        *(dataclasses.replace(part, **{k: v for k, v in changes.items() if hasattr(part, k)}) for part in moment)
    )


def test_a_quiet_machine_is_not_disturbed_by_a_neighbours_use_of_the_memory_and_its_facts_are_kept():
    after = changed(
        QUIET, kernels={"compute": 1.1, "memory": 1.2}, waited_sec={7: 6.0}, steal_sec=1.5, at=200.0, unused_sec=12.0
    )
    kept, disturbed = compared(QUIET, after)
    assert disturbed == ""
    assert kept["drift"] == {"compute": 1.1, "memory": 0.6}
    assert (kept["waited_share"], kept["steal_sec"], kept["throttled"]) == (0.01, 0.5, 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kernels": {"compute": 1.0, "memory": 4.1}}, "memory took 2.05 times as long after the trial"),
        ({"kernels": {"compute": 1.0, "memory": 0.9}}, "memory took 0.45 times as long after the trial"),
        ({"kernels": {"compute": 1.3, "memory": 2.0}}, "compute took 1.30 times as long"),
        ({"kernels": {"compute": 0.7, "memory": 2.0}}, "compute took 0.70 times as long"),
        ({"waited_sec": {7: 6.0, 8: 30.0, 9: 29.0}}, "its process waited for a core 30% of the time"),
        ({"throttled": 4}, "a core was slowed for its heat"),
    ],
)
def test_what_disturbs_a_trial_is_named(changes, reason):
    _, disturbed = compared(QUIET, changed(QUIET, **{"at": 200.0, "unused_sec": 60.0, **changes}))
    assert reason in disturbed


def test_threads_that_wait_for_each_other_miss_nothing():
    """jax has several threads per process; on one core they take turns, and the core is the process's all the time."""
    busy = changed(QUIET, at=200.0, waited_sec={7: 45.0, 8: 40.0}, unused_sec=11.0)
    kept, disturbed = compared(QUIET, busy)
    assert disturbed == "" and kept["waited_share"] == 0.01


def test_what_the_system_does_not_tell_disturbs_nobody():
    unknown = changed(QUIET, load=None, waited_sec={}, steal_sec=None, throttled=None)
    kept, disturbed = compared(unknown, changed(unknown, at=200.0))
    assert disturbed == "" and kept["waited_share"] is None


def test_what_a_process_waited_for_is_read_by_another_one_and_of_a_process_that_is_gone_nothing():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        before, deadline = waits_of(busy.pid, 1), time.monotonic() + 60
        while (now := waits_of(busy.pid, 1)).unused_sec - before.unused_sec > 0.9 * (now.at - before.at):
            assert time.monotonic() < deadline, "a busy process used no core"
            time.sleep(0.05)
        assert set(now.waited_sec) == {busy.pid} or sys.platform != "linux"
    finally:
        busy.kill()
        busy.wait()
    gone = waits_of(busy.pid, 2)
    assert gone.waited_sec == {} and gone.unused_sec == 2 * gone.at


def test_a_process_and_its_childrens_children_are_found_and_one_that_ends_meanwhile_is_none(monkeypatch):
    sleeper = "import time; time.sleep(60)"
    nested = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {sleeper!r}]); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", nested], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while len(descendants(child.pid)) < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        (grandchild,) = descendants(child.pid)
        assert {child.pid, grandchild} <= descendants(os.getpid())
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert descendants(child.pid) == set()

    def gone(*_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "glob", gone)
    assert descendants(os.getpid()) == set()


def test_a_process_that_somebody_stopped_is_told_from_one_that_works_or_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert not is_stopped(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert is_stopped(child.pid)
        os.kill(child.pid, signal.SIGCONT)
        os.waitpid(child.pid, os.WCONTINUED)
        assert not is_stopped(child.pid)
    finally:
        child.kill()
        child.wait()
    assert not is_stopped(child.pid)


def test_the_fastest_repetition_counts():
    ticks = iter(range(10_000))
    times = kernel_times(repeats=3, clock=lambda: next(ticks))
    assert times == {name: [1, 1, 1] for name in KERNELS}
    assert measure().kernels.keys() == KERNELS.keys() == MOST_DRIFT.keys()


def test_the_machine_is_shown_and_its_class_leaves_out_what_changes_from_boot_to_boot():
    found = json.loads(CliRunner().invoke(main, ["machine", "--repeats", "2", "--json"]).stdout)
    assert found["machine"]["class"] == machine_facts()["class"] and found["machine"]["fingerprint"]["blas"]
    assert all(kernel["fastest_sec"] > 0 for kernel in found["kernels"].values())
    shown = CliRunner().invoke(main, ["machine", "--repeats", "2"])
    assert shown.exit_code == 0 and "instruction_sets" in shown.stdout and "compute" in shown.stdout
