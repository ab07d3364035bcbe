"""The process that judges a trial: the trial's own stands still meanwhile, and may lose it."""

import concurrent.futures
import contextlib
import math
import multiprocessing
import os
import time
import types
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.judge import Judged, JudgeProcess, Measure, named
from harness.messages import answers, sender
from harness.plan import plan_trials
from harness.run import run
from harness.running import FORGED, UNJUDGED, RunningTrial, is_out_of_turn, receive
from harness.spec import Target
from harness.speed import Speed, compared
from harness.suite import Request
from harness.worker import Slot
from results.record import STEPS, WALL, StopReason
from results.store import find_trials, read_evaluations, read_trial


@pytest.fixture(autouse=True)
def target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.999, 0.999))


class Looking:
    """Looks at a trial's processes while its judge works, and does something to them."""

    def __init__(self, inner, act):
        self.finished = inner.finished
        self._act = act

    def update(self, running, waiting):
        for trial in running:
            if trial.judge.is_asked and trial.process.is_alive():
                own = psutil.Process(trial.process.pid)
                others = [other for other in own.parent().children() if other != own]
                if len(others) == 1:  # where its judge was lost just now, it may not be there yet
                    self._act(own, others[0])


def go(out, entry, act=lambda own, judge: None):
    request = Request(("mnist",), ((str(entry), None),), "self_tuning", 1, 1, max_steps=750)

    def watched_by(inner):
        return contextlib.nullcontext(Looking(inner, act))

    with Path(os.devnull).open("w") as sink:
        run(request, out, console=Console(file=sink), watched_by=watched_by, checkpoint_every=0.0)
    (folder,) = find_trials(out)
    return read_trial(folder), read_evaluations(folder)


def told(rows):
    return [{name: value for name, value in row.items() if "/" in name or name == STEPS} for row in rows]


def test_a_trial_stands_still_while_it_is_judged(tmp_path, write_entry):
    seen = []

    def look(own, judge):
        """A process that has no core at the moment takes the signal when it gets one."""
        deadline = time.monotonic() + 60
        while own.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(own.status())

    record, rows = go(tmp_path / "out", write_entry("adam"), look)
    assert (record.stop_reason, len(rows)) == (StopReason.STEP_LIMIT, 3)
    assert seen and set(seen) == {psutil.STATUS_STOPPED}


@pytest.mark.parametrize("lost", [lambda own, judge: judge, lambda own, judge: own.parent()], ids=["judge", "server"])
def test_a_trial_that_loses_a_process_it_needs_goes_on_and_ends_as_any_other(tmp_path, write_entry, lost):
    killed = []

    def kill_once(own, judge):
        if not killed:
            process = lost(own, judge)
            killed.append(process.pid)
            process.kill()
            psutil.wait_procs([judge, own] if process != judge else [judge], timeout=60)

    entry = write_entry("adam")
    record, rows = go(tmp_path / "disturbed", entry, kill_once)
    assert killed and (record.stop_reason, record.preemptions) == (StopReason.STEP_LIMIT, 1)
    assert told(rows) == told(go(tmp_path / "quiet", entry)[1])


@pytest.mark.parametrize(
    ("found", "row", "breaches"),
    [
        ({"accuracy": 0.5, "loss": math.nan}, {"validation/accuracy": 0.5, "validation/loss": math.nan}, []),
        ({"accuracy": 0.5}, {"validation/accuracy": 0.9}, [UNJUDGED]),
        ({"accuracy": 0.5}, {"validation/accuracy": 0.5, "test/accuracy": 0.9}, [UNJUDGED]),
        ({"accuracy": 0.5}, {}, [UNJUDGED]),
        ({}, {"validation/accuracy": 0.9}, [UNJUDGED]),
    ],
)
def test_a_trial_tells_of_what_its_judge_has_found(trial_of, found, row, breaches):
    trial, there = trial_of()
    trial.judged = named(Judged("validation", found))
    sender(there)("evaluation", {STEPS: 250, **row})
    receive(trial)
    assert trial.breaches == breaches
    assert (trial.judged, len(trial.evaluations)) == ({}, 1)


def saying(there, *messages):
    send = sender(there)
    for kind, payload in messages:
        send(kind, payload)


def at(phase, step):
    return "progress", {"phase": phase, "step": step, "submission_time": 0.0, "elapsed": 0.0, "metric": None}


MEASURE, ENDED = ("measure", {}), {"wall_sec": 1.0, "right": None}


@pytest.mark.parametrize(
    ("messages", "breaches"),
    [
        ([at("calibrate", 0), at("train", 0), at("evaluate", 250), at("train", 250)], []),
        ([at("train", 250), at("calibrate", 250)], []),
        ([at("train", 250), at("calibrate", 250), at("train", 250)], [FORGED]),
        ([at("train", 250), at("calibrate", 250), ("evaluation", {STEPS: 250})], [FORGED]),
        ([at("import", 0), MEASURE], []),
        ([at("train", 250), at("ask", 250)], [FORGED]),
        ([at("train", 250), at("initialise", 250)], [FORGED]),
        ([at("train", 250), at("calibrate", 0)], [FORGED]),
        ([at("train", 250), MEASURE], [FORGED]),
        ([at("train", 250), at("calibrate", 250), MEASURE], [FORGED]),
        ([at("train", 250), at("calibrate", 250), ("finished", ENDED)], [FORGED]),
        ([at("train", 250), ("judge", {"split": "test", "parameters": (), "statistics": ()})], [FORGED]),
    ],
)
def test_what_a_trial_says_out_of_turn_is_forged(trial_of, messages, breaches):
    trial, there = trial_of(judge=types.SimpleNamespace(ask=lambda question: None, answer=lambda: None))
    saying(there, *messages)
    receive(trial)
    assert trial.breaches == breaches


def test_a_split_is_judged_once_per_evaluation(trial_of):
    trial, there = trial_of(judge=types.SimpleNamespace(ask=lambda question: None, answer=lambda: None))
    question = ("judge", {"split": "test", "parameters": (), "statistics": ()})
    saying(there, at("evaluate", 250), question, ("evaluation", {STEPS: 250}), at("evaluate", 500), question)
    receive(trial)
    assert FORGED not in trial.breaches
    trial.asked = {"test"}
    assert is_out_of_turn(trial, *question)


def test_the_machine_is_measured_before_and_after_by_the_judge_and_the_record_has_what_it_found(trial_of):
    speeds = iter([Speed({"compute": 1.0}, 0.5, 0.0, 0), Speed({"compute": 1.5}, 0.5, 0.0, 0)])
    asked = []
    judge = types.SimpleNamespace(ask=asked.append, answer=lambda: next(speeds, None) if asked else None)
    trial, there = trial_of(judge)
    send = sender(there)
    for phase, step in (("import", 0), ("calibrate", 250)):
        send(*at(phase, step))
        send(*MEASURE)
        receive(trial)
        assert asked.pop() == Measure(trial.task)
        asked.append("a question")
        receive(trial)
        assert answers(there)() is None and len(trial.moments) == 1 + (step > 0)
        asked.clear()
    send("finished", ENDED)
    receive(trial)
    assert trial.breaches == [] and trial.finished
    assert compared(*trial.moments)[1] == "compute took 1.50 times as long after the trial as before it"


@pytest.mark.parametrize(
    ("told", "resumed", "breaches"),
    [
        ([{STEPS: 250, WALL: 2.0}, {STEPS: 500, WALL: 4.0}], [{STEPS: 250, WALL: 2.0}], []),
        ([{STEPS: 250, "validation/loss": math.nan}], [{STEPS: 250, "validation/loss": math.nan}], []),
        ([{STEPS: 250, WALL: 2.0}], [{STEPS: 250, WALL: 0.2}], [UNJUDGED]),
        ([{STEPS: 250, WALL: 2.0}], [{STEPS: 250, WALL: 2.0}, {STEPS: 500, WALL: 2.1}], [UNJUDGED]),
        (None, [{STEPS: 250, WALL: 2.0}], []),
    ],
    ids=["fewer", "nan", "other times", "more", "told to another command"],
)
def test_a_resumed_trial_tells_of_the_evaluations_that_it_has_told(trial_of, told, resumed, breaches):
    trial, there = trial_of()
    trial.told_before, trial.may_resume = told, True
    saying(there, ("resumed", {"evaluations": resumed, "segments": {}, "timed_cpu": 1.0}))
    receive(trial)
    assert trial.breaches == breaches


@given(
    st.recursive(st.none() | st.floats(allow_nan=False) | st.text(), lambda inner: st.lists(inner) | st.tuples(inner))
)
def test_an_answer_arrives_as_it_was_sent(answer):
    here, there = multiprocessing.Pipe()
    here.send(answer)
    here.send("the next")
    receive_answer = answers(there)
    assert receive_answer() == answer and receive_answer() == "the next"
    here.close()
    with pytest.raises(EOFError):
        receive_answer()


def test_a_large_answer_comes_in_parts():
    here, there = multiprocessing.Pipe()
    large = np.arange(300_000.0)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sent = pool.submit(here.send, large)
        np.testing.assert_array_equal(answers(there)(), large)
        sent.result()


@pytest.fixture
def trial_of():
    """A trial as the command sees it, without its processes, and the other end of its connection."""

    def make(judge=None):
        here, there = multiprocessing.Pipe()
        task = plan_trials(Request(("mnist",), (("nadamw_cosine", "torch"),), "self_tuning", 1, 1))[0].task
        process = types.SimpleNamespace(is_alive=lambda: False, pid=None)
        judge = judge or JudgeProcess(lambda: pytest.fail("nobody asks it"))
        return RunningTrial(task, "", process, here, Slot((0,)), Path(os.devnull), judge, "", 0.0, 0.0), there

    return make
