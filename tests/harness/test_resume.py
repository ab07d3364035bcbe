"""Checkpoints: a trial that was interrupted, wherever, ends as one that was not."""

import dataclasses
import hashlib
import io
import itertools
import math
import os
import pickletools
import time

import pytest

from harness.checkpoint import CheckpointPlace, DamagedCheckpointError, digest_of
from harness.clock import TIMED, Clock
from harness.plan import plan_trials
from harness.resume import StartOverError
from harness.spec import Target
from harness.suite import Request
from harness.trial import run_trial
from results.record import CPU, STEPS, WALL, StopReason

EVALUATIONS, PERIOD = 4, 100


class KilledError(BaseException):
    """Stands in for a signal: nothing in the trial may catch it."""


@pytest.fixture(autouse=True)
def target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.999, 0.999))


def task_of(entry, framework, place, workload="mnist"):
    request = Request(
        (workload,), ((str(entry), framework),), "self_tuning", 1, 1, max_steps=EVALUATIONS * PERIOD, budget_sec=600.0
    )
    task = plan_trials(dataclasses.replace(request, track="open"))[0].task
    spec = dataclasses.replace(task.spec, eval_period_steps=PERIOD)
    return dataclasses.replace(task, spec=spec, checkpoint=place)


def run(task, kill=None):
    """One process of a trial: its evaluations and outcome; ``kill(kind, payload)`` says when it ends before."""
    if task.checkpoint is not None:
        task = dataclasses.replace(task, checkpoint=task.checkpoint.started())
    rows = []

    def send(kind, payload):
        if kill is not None and kill(kind, payload):
            raise KilledError
        if kind == "resumed":
            rows[:] = payload["evaluations"]
        elif kind == "evaluation":
            rows.append(payload)

    try:
        return rows, run_trial(task, send)
    except KilledError:
        return rows, None


def test_what_a_checkpoint_has_beside_the_charged_part_is_of_plain_types(tmp_path, write_entry):
    """Of any other type an entry could say how it is pickled, which would run while the clock stands."""
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    run(task_of(write_entry("plain"), "torch", place), after_evaluation(2))
    opcodes = {opcode.name for opcode, *_ in pickletools.genops(place.read())}
    assert "BINFLOAT" in opcodes and not opcodes & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}


def test_nothing_that_an_entry_can_replace_runs_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    def told(*_, **__):
        raise AssertionError("an entry's function runs")

    for owner, name in ((hashlib, "sha256"), (io, "open"), (os, "open"), (os, "write"), (os, "fsync"), (os, "replace")):
        monkeypatch.setattr(owner, name, told)
    place = CheckpointPlace(tmp_path)
    place.write(b"state", digest_of(b"state"))
    monkeypatch.undo()
    assert place.read() == b"state"


def test_what_writing_a_checkpoint_takes_beyond_what_it_can_take_is_charged(tmp_path, write_entry, monkeypatch):
    def working(data):
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        return digest_of(data)

    places = [CheckpointPlace(tmp_path / name, every_sec=0.0) for name in ("before", "after")]
    entry = write_entry("plain")
    tasks = [task_of(entry, "torch", place) for place in places]
    _, outcome = run(tasks[0])
    monkeypatch.setattr("harness.resume.digest_of", working)
    _, charged = run(tasks[1])
    taken = [sum(each.segments[name] for name in TIMED) for each in (outcome, charged)]
    assert taken[1] - taken[0] > (EVALUATIONS - 1) * 0.2 and charged.segments["checkpoint"] < 1.0


def test_waiting_for_a_disk_is_not_charged(tmp_path, write_entry, monkeypatch):
    monkeypatch.setattr("harness.checkpoint._fsync", lambda file: time.sleep(0.5))
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    _, outcome = run(task_of(write_entry("plain"), "torch", place))
    assert outcome.segments["checkpoint"] > (EVALUATIONS - 1) * 0.45


def after_evaluation(number):
    """Ends a process when it has told of its evaluation of that number and gone on."""
    seen = []

    def kill(kind, payload):
        seen.extend([kind] if kind == "evaluation" else [])
        return kind == "progress" and payload["phase"] == "evaluate" and len(seen) >= number

    return kill


def compared(rows):
    """What must be the same: steps, examples and metrics, bit for bit; not times."""
    return [{k: v for k, v in row.items() if "/" in k or k in (STEPS, "examples")} for row in rows]


def straight_and_interrupted(task, place, kills):
    straight = run(dataclasses.replace(task, checkpoint=None))
    for kill in kills:
        _, outcome = run(task, kill)
        assert outcome is None, "the process should have been killed"
        assert place.version() is not None
    return straight, run(task)


AVERAGED = """
import copy

def prepare_for_eval(workload, current_param_container, current_params_types, model_state, hyperparameters, loss_type,
                     optimizer_state, eval_results, global_step, rng):
    assert len(eval_results) == global_step // 100 - 1
    return optimizer_state, current_param_container, model_state
"""
NOISE = {  # what a step does depends on every generator, and on the key that it is given
    "optimizer.step()": """optimizer.step()
    import random, numpy
    scale = 1 + 1e-3 * (random.random() + numpy.random.rand() + float(torch.rand(())) + int(rng[0]) / 2**32)
    with torch.no_grad():
        for parameter in current_param_container.parameters():
            parameter.mul_(scale)"""
}


@pytest.mark.parametrize(
    "entry",
    [
        "plain torch",
        "plain jax",
        "schedule_free_adamw torch",
        "nadamw_cosine jax",
        "lawa_ema jax",
        "mechanic_adamw torch",
    ],
)
def test_an_interrupted_trial_ends_as_one_that_was_not(tmp_path, write_entry, entry):
    name, framework = entry.split()
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    replace = NOISE if framework == "torch" else {}
    source = write_entry("adam", framework, replace, AVERAGED) if name == "plain" else name
    task = task_of(source, framework, place)
    straight, resumed = straight_and_interrupted(task, place, [after_evaluation(1), after_evaluation(2)])
    assert compared(resumed[0]) == compared(straight[0])
    assert len(resumed[0]) == EVALUATIONS
    assert resumed[1].steps == straight[1].steps and resumed[1].stop_reason is StopReason.STEP_LIMIT
    assert resumed[1].preemptions == 2 and resumed[1].notes == ()
    assert [row["preemption_count"] for row in resumed[0]][-1] == 2 and resumed[0][0]["preemption_count"] == 0


OTHER_MODEL = """
def prepare_for_eval(workload, current_param_container, current_params_types, model_state, hyperparameters, loss_type,
                     optimizer_state, eval_results, global_step, rng):
    return optimizer_state, optimizer_state["average"], model_state
"""
KEPT_MODEL = {
    "return {": """import copy
    average = copy.deepcopy(model_params).requires_grad_(False)
    return {"model": model_params, "average": average, """,
    "    optimizer = optimizer_state": """    current_param_container = optimizer_state["model"]
    optimizer = optimizer_state""",
    "optimizer.step()": """optimizer.step()
    with torch.no_grad():
        for mean, parameter in zip(optimizer_state["average"].parameters(), current_param_container.parameters()):
            mean.lerp_(parameter, 0.1)""",
}


def test_an_average_that_is_given_back_for_evaluation_and_the_model_that_is_trained_stay_two(tmp_path, write_entry):
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("averaging", "torch", KEPT_MODEL, OTHER_MODEL), "torch", place)
    straight, resumed = straight_and_interrupted(task, place, [after_evaluation(1), after_evaluation(2)])
    assert compared(resumed[0]) == compared(straight[0]) and resumed[1].notes == ()


class FakeTime:
    """A clock that moves a little whenever it is read, and far while an entry compiles."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-3
        return self.now


def test_the_clock_goes_on_and_compilation_is_charged_once(tmp_path, write_entry, monkeypatch):
    compiles = """
    import builtins

    _update, _compiled = update_params, []

    def update_params(**arguments):
        if not _compiled:
            builtins.fake_time.now += 1000.0
            _compiled.append(True)
        return _update(**arguments)
    """
    time_now = FakeTime()
    monkeypatch.setattr("builtins.fake_time", time_now, raising=False)
    monkeypatch.setattr("harness.trial.Clock", lambda: Clock(time_now, time_now))
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = dataclasses.replace(task_of(write_entry("adam", tail=compiles), "torch", place))
    task = dataclasses.replace(task, spec=dataclasses.replace(task.spec, budget_sec=1e6))
    before, _ = run(task, after_evaluation(2))
    rows, outcome = run(task)
    assert rows[:1] == before[:1]
    assert all(a[WALL] < b[WALL] < 1100 and a[CPU] < b[CPU] for a, b in itertools.pairwise(rows))
    assert 1000 < outcome.segments["compile"] < 1001 and 1000 < outcome.segments["restore"] < 1100
    assert outcome.segments["step"] < 100
    assert sum(outcome.segments.values()) == pytest.approx(outcome.wall_sec, rel=1e-5)
    assert sum(outcome.segments[name] for name in TIMED) == pytest.approx(rows[-1][WALL], rel=1e-3)


WORKS_WHILE_SAVED = """
import builtins

class Busy:
    def state_dict(self):
        builtins.fake_time.now += 1000.0
        return {}

    def load_state_dict(self, state):
        pass

_init = init_optimizer_state

def init_optimizer_state(*arguments):
    return _init(*arguments) | {"busy": Busy()}
"""
WORKS_IN_REHEARSAL = """
import builtins

_update, _calls = update_params, []

def update_params(**arguments):
    if not _calls and arguments["global_step"] > 0:
        builtins.fake_time.now += 1000.0
    _calls.append(True)
    return _update(**arguments)
"""


@pytest.mark.parametrize(("cheat", "charged"), [(WORKS_WHILE_SAVED, 3000), (WORKS_IN_REHEARSAL, 990)])
def test_what_an_entry_works_while_it_is_saved_or_rehearsed_is_on_the_clock(
    tmp_path, write_entry, monkeypatch, cheat, charged
):
    time_now = FakeTime()
    monkeypatch.setattr("builtins.fake_time", time_now, raising=False)
    monkeypatch.setattr("harness.trial.Clock", lambda: Clock(time_now, time_now))
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("adam", tail=cheat), "torch", place)
    task = dataclasses.replace(task, spec=dataclasses.replace(task.spec, budget_sec=1e6))
    before, _ = run(task, after_evaluation(2))
    assert len(before) == 2
    rows, outcome = run(task)
    assert charged < outcome.segments["step"] < charged + 100
    assert charged < rows[-1][WALL] < charged + 200 and rows[-1][CPU] > charged
    assert outcome.segments["checkpoint"] < 100 and outcome.segments["restore"] < 100
    assert sum(outcome.segments.values()) == pytest.approx(outcome.wall_sec, rel=1e-5)


WORKS_WHILE_RESTORED = """
import builtins

import torch

class Kept:
    def __init__(self):
        self.batches = torch.zeros(12_500_000)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        builtins.fake_time.now += 10.0

_init = init_optimizer_state

def init_optimizer_state(*arguments):
    return _init(*arguments) | {"kept": Kept()}
"""


def test_the_size_of_a_state_buys_no_work_while_it_is_restored(tmp_path, write_entry, monkeypatch):
    time_now = FakeTime()
    monkeypatch.setattr("builtins.fake_time", time_now, raising=False)
    monkeypatch.setattr("harness.trial.Clock", lambda: Clock(time_now, time_now))
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("adam", tail=WORKS_WHILE_RESTORED), "torch", place)
    run(task, after_evaluation(2))
    assert len(place.read()) > 4e7
    _, outcome = run(task)
    assert outcome.segments["step"] > 19 and outcome.segments["restore"] < 1.0


def test_a_state_that_cannot_be_saved_starts_over_and_says_so(tmp_path, write_entry):
    replace = {'return {"optimizer":': 'return {"secret": (i for i in range(3)), "optimizer":'}
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("adam", replace=replace), "torch", place)
    run(task, after_evaluation(2))
    rows, outcome = run(task)
    assert [row[STEPS] for row in rows] == [PERIOD * (i + 1) for i in range(EVALUATIONS)]
    assert "started over after an interruption: no checkpoint was made before" in outcome.notes
    assert any("optimizer_state['secret'] (generator) cannot be saved" in note for note in outcome.notes)


def test_a_checkpoint_that_cannot_be_used_is_given_up(tmp_path, write_entry):
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("adam"), "torch", place)
    run(task, after_evaluation(2))
    place.write(b"not a pickle")
    with pytest.raises(StartOverError):
        run(task)
    rows, outcome = run(task)
    assert len(rows) == EVALUATIONS
    assert any("started over after an interruption: its checkpoint cannot be used" in note for note in outcome.notes)


def test_a_full_disk_costs_the_checkpoint_and_not_the_trial(tmp_path, write_entry, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=0.0)
    task = task_of(write_entry("adam"), "torch", place)
    monkeypatch.setattr("harness.checkpoint.CheckpointPlace.write", full)
    rows, outcome = run(task)
    assert len(rows) == EVALUATIONS
    assert outcome.notes == ("a checkpoint could not be written: No space left on device",)


def test_checkpoints_keep_their_distance(tmp_path, write_entry):
    place = CheckpointPlace(tmp_path / "checkpoint", every_sec=math.inf)
    run(task_of(write_entry("adam"), "torch", place))
    assert place.version() is None


@pytest.mark.parametrize(
    ("every_sec", "usual", "saved"), [(0.0, 4, EVALUATIONS - 1), (1e-9, 0, 1), (1e-9, 4, 0)], ids=str
)
def test_saving_takes_its_share_of_the_time_and_no_more_unless_every_evaluation_is_saved(
    tmp_path, write_entry, monkeypatch, every_sec, usual, saved
):
    """The first waits for what a state of usual size takes, the next for what the last one took."""
    monkeypatch.setattr("harness.resume.FREE_SAVING_SHARE", 1e-9)
    monkeypatch.setattr("harness.resume.USUAL_STATES", usual)
    told = []
    run(task_of(write_entry("adam"), "torch", CheckpointPlace(tmp_path, every_sec)), lambda kind, _: told.append(kind))
    assert told.count("saved") == saved


def test_a_place_counts_starts_keeps_whole_states_and_is_emptied(tmp_path):
    place = CheckpointPlace(tmp_path / "all" / "one")
    assert [place.started().interruptions for _ in range(3)] == [0, 1, 2]
    assert place.read() is None
    place.write(b"first")
    first = place.version()
    time.sleep(0.01)
    place.write(b"second")
    assert place.read() == b"second" and place.version() != first
    path = place.folder / "state"
    for damage in (lambda content: content[:-1], lambda content: b"x" + content[1:], lambda content: b""):
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(DamagedCheckpointError, match="damaged"):
            place.read()
        place.write(b"second")
    place.discard()
    assert list(tmp_path.iterdir()) == []
