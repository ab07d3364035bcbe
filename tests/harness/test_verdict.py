"""What the parent makes of a trial: its accounts of time against the trial's own, and the claim."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import verdict as module
from harness.clock import TIMED
from harness.plan import plan_trials
from harness.suite import Request
from harness.verdict import (
    Accounts,
    Verification,
    claim_breach,
    ledger_breach,
    time_breach,
    untimed_breach,
    verdict,
    waited_for_a_core,
)
from results.record import CPU, STEPS, WALL, StopReason

SEGMENTS = dict.fromkeys((*TIMED, "log"), 0.0)


@pytest.fixture(scope="module")
def trial_spec():
    request = Request(("mnist",), (("nadamw_cosine", "torch"),), ruleset="self_tuning", studies=1, trials=1)
    return plan_trials(request)[0].task.spec


class Time:
    """Moves on by hand: wall seconds and CPU seconds of the watched process."""

    def __init__(self, monkeypatch):
        self.wall = self.cpu = 0.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.wall)
        monkeypatch.setattr(Accounts, "_read_cpu", lambda accounts: self.cpu)

    def passes(self, accounts, phase, wall, cpu=None):
        accounts.enter(phase)
        self.wall += wall
        self.cpu += wall if cpu is None else cpu


@pytest.fixture
def now(monkeypatch):
    return Time(monkeypatch)


def accounts_of(now, *phases):
    accounts = Accounts(1)
    for phase in phases:
        now.passes(accounts, *phase)
    accounts.enter("ended")
    return accounts


def test_a_clock_that_agrees_is_believed_and_a_slow_one_is_not(now):
    accounts = accounts_of(now, ("setup", 9), ("initialise", 1), ("train", 20), ("evaluate", 5), ("train", 19))
    honest = {**SEGMENTS, "initialise": 1.0, "step": 37.0, "data_selection": 1.5, "log": 0.4}
    assert time_breach(accounts, honest) == ""
    assert time_breach(accounts, {**honest, "step": 17.0}) == "trained for 40.0 s while its own clock says 19.9 s"


def test_a_log_may_take_as_long_as_the_process_waited_for_a_core(now, monkeypatch):
    """On a core that it shares, a process waits wherever it is."""
    waited = iter([0.0, 1.0, 1.0, 31.0])
    monkeypatch.setattr(module, "waited_for_a_core", lambda pid: next(waited))
    starved = {**SEGMENTS, "step": 40.0, "log": 30.0}
    accounts = accounts_of(now, ("setup", 9), ("train", 70))
    assert accounts.waited_sec == 30.0 and time_breach(accounts, starved) == ""
    monkeypatch.setattr(module, "waited_for_a_core", lambda pid: 0.0)
    assert time_breach(accounts_of(now, ("setup", 9), ("train", 70)), starved)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not count that")
def test_waiting_for_a_core_is_counted():
    core = {min(os.sched_getaffinity(0))}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for process in busy:
            os.sched_setaffinity(process.pid, core)
        for _ in range(600):
            if sum(waited_for_a_core(process.pid) for process in busy) > 0.2:
                break
            time.sleep(0.05)
        else:
            pytest.fail("two processes on a core, and none of them waits")
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_time_moved_into_an_untimed_segment_is_seen(now):
    accounts = accounts_of(now, ("train", 20), ("evaluate", 1), ("train", 20))
    assert time_breach(accounts, {**SEGMENTS, "step": 10.0, "evaluate": 31.0})


def test_what_is_excused_is_no_training_and_no_more_than_has_passed(now):
    accounts = Accounts(1)
    now.passes(accounts, "train", 30)
    accounts.excuse(20)
    now.passes(accounts, "evaluate", 5)
    accounts.excuse(50)
    now.passes(accounts, "train", 2)
    accounts.enter("ended")
    assert accounts.training_sec == 12
    assert accounts.wall["evaluate"] == 0


def test_what_other_processes_spent_is_not_compared(now):
    accounts = accounts_of(now, ("initialise", 3), ("train", 4))
    accounts.resumed({**SEGMENTS, "step": 100.0}, 100.0)
    now.passes(accounts, "train", 10)
    accounts.enter("ended")
    assert time_breach(accounts, {**SEGMENTS, "step": 110.0}) == ""
    assert time_breach(accounts, {**SEGMENTS, "step": 102.0})


VERIFIED = {"value": 1.0, "wall_sec": 0.4}


@pytest.mark.parametrize(
    ("claimed", "on_a_gpu", "told"),
    [
        (19.0, False, ""),
        (17.0, False, "used 22.0 s of CPU time until its last evaluation, of which its own clock has 17.0 s"),
        (10.0, True, ""),
    ],
)
def test_cpu_time_off_the_clock_is_seen(now, claimed, on_a_gpu, told):
    accounts = Accounts(1, on_a_gpu)
    for phase, seconds in (("setup", 1.0), ("ask", 9.0), ("initialise", 2.0), ("train", 19.0), ("evaluate", 1.0)):
        now.passes(accounts, phase, seconds)
    accounts.stop()
    now.wall += 50.0  # the judge's
    accounts.go_on()
    now.passes(accounts, "train", 30.0)  # after the last evaluation
    accounts.enter("ended")
    assert untimed_breach(accounts, [{CPU: claimed / 2}, {CPU: claimed}]) == told


def test_writing_a_large_checkpoint_is_free_as_far_as_the_process_holds_it():
    accounts, megabyte = Accounts(os.getpid()), 1e6
    before = accounts.free_cpu_sec
    accounts.saves(8 * megabyte, every=False)
    assert accounts.free_cpu_sec - before == pytest.approx(0.15)
    accounts.saves(8 * megabyte, every=False)
    assert accounts.free_cpu_sec - before == pytest.approx(0.15)  # later ones keep their distance
    accounts.saves(8 * megabyte, every=True)
    assert accounts.free_cpu_sec - before == pytest.approx(0.3)
    accounts.saves(1e9 * megabyte, every=True)
    assert accounts.free_cpu_sec < 1e4
    accounts.resumed(SEGMENTS, 0.0)
    assert accounts.free_cpu_sec < before + 0.1


def test_what_is_free_for_making_the_model_is_so_for_nothing_else(now):
    def seen(making, training):
        accounts = Accounts(1)
        now.passes(accounts, "import", making)
        now.passes(accounts, "train", training)
        accounts.stop()
        return untimed_breach(accounts, [{CPU: 10.0}])

    assert seen(2.8, 10.1) == seen(0.1, 11.9) == ""
    assert seen(0.1, 12.1) and seen(3.2, 10.0)


def test_cpu_time_of_earlier_processes_is_not_compared(now):
    accounts = Accounts(1)
    now.passes(accounts, "setup", 3.0)
    accounts.resumed(SEGMENTS, 100.0)
    now.passes(accounts, "train", 10.0)
    accounts.stop()
    assert untimed_breach(accounts, [{CPU: 109.0}]) == ""
    assert untimed_breach(accounts, [{CPU: 103.0}])


@pytest.mark.parametrize(
    ("direction", "value", "fine"),
    [
        ("maximize", 0.8, True),
        ("maximize", 0.7999, True),
        ("maximize", 0.79, False),
        ("maximize", float("nan"), False),
        ("minimize", 0.8, True),
        ("minimize", 0.8005, True),
        ("minimize", 0.81, False),
    ],
)
def test_the_claim_must_hold(trial_spec, direction, value, fine):
    spec = dataclasses.replace(trial_spec, metric="quality", direction=direction, validation_target=0.8)
    found = claim_breach(spec, Verification({**VERIFIED, "value": value}))
    assert (found == "") is fine
    assert fine or found == f"kept parameters that reach quality {value:.6g}, not the target 0.8"


ENDED = {
    "segments": {**SEGMENTS, "initialise": 1.0, "step": 9.0, "evaluate": 2.0},
    "wall_sec": 12.0,
    "steps": 500,
    "stop_reason": StopReason.TARGET_REACHED,
    "crossing": {"steps": 500, "wall": 10.0},
}
ROWS = [{STEPS: 250, WALL: 5.5, CPU: 5.4}, {STEPS: 500, WALL: 10.0, CPU: 10.0}]


@pytest.mark.parametrize(
    ("changed", "rows", "told"),
    [
        ({}, ROWS, ""),
        ({"wall_sec": 30.0}, ROWS, "segments that do not add up"),
        ({}, [ROWS[1], ROWS[0]], "go back in time"),
        ({}, [{STEPS: 250, WALL: 11.0, CPU: 5.4}, ROWS[1]], "go back in time"),
        ({}, [{STEPS: 5, WALL: 0.1, CPU: 0.1}, *ROWS], "between the steps at which it is due"),
        ({"steps": 7000}, ROWS, "more steps than it may"),
        (
            {"crossing": None, "stop_reason": StopReason.STEP_LIMIT},
            [ROWS[0], {STEPS: 500, WALL: 90.0, CPU: 10.0}],
            "more time than",
        ),
        ({"crossing": {"steps": 500, "wall": 0.01}}, ROWS, "at a time at which it was not evaluated"),
        ({}, [ROWS[0], {**ROWS[1], CPU: 10.1}], "used more CPU time than its cores have"),
        ({"crossing": {"steps": 499, "wall": 10.0}}, ROWS, "at a time at which it was not evaluated"),
        (
            {"crossing": {"steps": 500, "wall": 0.01}},
            [{STEPS: 500, WALL: 0.01, CPU: 0.01}],
            "another time than its segments say",
        ),
    ],
)
def test_accounts_of_a_trial_that_contradict_each_other_are_seen(trial_spec, changed, rows, told):
    spec = dataclasses.replace(trial_spec, eval_period_steps=250, max_steps=6000)
    found = ledger_breach(spec, rows, {**ENDED, **changed})
    assert (found == "") if not told else (told in found)


def test_all_breaches_are_told(now, trial_spec):
    accounts = accounts_of(now, ("train", 40))
    ended = {**ENDED, "segments": SEGMENTS, "wall_sec": 0.0, "crossing": None}
    found = verdict(trial_spec, ["reads a file"], accounts, [], ended, Verification(refused="nothing was kept"))
    assert found == ("reads a file", "trained for 40.0 s while its own clock says 0.0 s", "nothing was kept")
    assert verdict(trial_spec, [], accounts_of(now), [], ended, Verification(failed="no memory")) == ()
