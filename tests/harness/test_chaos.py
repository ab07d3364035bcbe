"""Trials whose processes are killed, frozen and starved at random end as undisturbed ones do."""

import contextlib
import dataclasses
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from harness.chaos import run_with_chaos
from harness.launch import DEATHS_WITHOUT_PROGRESS
from harness.run import run
from harness.spec import Target
from harness.suite import Request
from results.ledger import compare_ledgers
from results.record import STEPS, StopReason, TrialKey
from results.store import find_trials, read_evaluations, read_trial, write_trial
from results.synthetic import evaluations, record


@pytest.fixture(autouse=True)
def target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.999, 0.999))


@pytest.fixture
def quiet():
    with Path(os.devnull).open("w") as sink:
        yield Console(file=sink)


def test_chaos_changes_no_record(tmp_path, write_entry, quiet):
    entries = tuple((str(write_entry(f"adam_{f}", f)), None) for f in ("torch", "jax"))
    request = Request(("mnist",), entries, "self_tuning", 1, 1, max_steps=1000)
    report = run_with_chaos(request, tmp_path / "out", seed=1, every_sec=0.15, most_kills=4, jobs=1, console=quiet)
    assert report.kills > 0
    assert report.difference.equal, report.difference.differences
    assert report.difference.evaluations == 2 * 4
    killed = [read_trial(folder) for folder in find_trials(tmp_path / "out")]
    assert sum(trial.preemptions for trial in killed) == report.kills
    assert all(trial.notes == () or "started over" in trial.notes[0] for trial in killed)
    assert not (tmp_path / "out" / ".timetrial" / "checkpoints").exists()


STANDS_STILL = {"optimizer.step()": "optimizer.step()\n    import time\n    if global_step == 350: time.sleep(600)"}


@contextlib.contextmanager
def killing_after_an_evaluation(inner):
    """Kills a trial whenever it has told of an evaluation, as a system short of memory does."""

    class Killing:
        finished = inner.finished

        def update(self, running, waiting):
            for trial in running:
                if trial.evaluations and trial.process.is_alive():
                    trial.process.kill()

    yield Killing()


def test_a_trial_that_is_killed_at_one_place_is_not_started_for_ever(tmp_path, write_entry, quiet):
    entry = str(write_entry("adam", replace=STANDS_STILL))
    request = Request(("mnist",), ((entry, None),), "self_tuning", 1, 1, max_steps=600)
    options = {"checkpoint_every": 0.0, "console": quiet, "watched_by": killing_after_an_evaluation}
    summary = run(request, tmp_path / "out", **options)
    (folder,) = find_trials(tmp_path / "out")
    found = read_trial(folder)
    assert summary.failed == 1 and found.stop_reason is StopReason.KILLED
    assert f"{DEATHS_WITHOUT_PROGRESS} times in a row" in found.stop_detail
    assert [row[STEPS] for row in read_evaluations(folder)] == [250]


def test_a_trial_that_the_system_ends_for_want_of_memory_is_not_started_again(
    tmp_path, write_entry, quiet, monkeypatch
):
    counts = iter([3])
    monkeypatch.setattr("harness.launch.processes_killed_for_memory", lambda: next(counts, 4))
    entry = str(write_entry("adam", replace=STANDS_STILL))
    request = Request(("mnist",), ((entry, None),), "self_tuning", 1, 1, max_steps=600)
    options = {"checkpoint_every": 0.0, "console": quiet, "watched_by": killing_after_an_evaluation}
    run(request, tmp_path / "out", **options)
    (folder,) = find_trials(tmp_path / "out")
    found = read_trial(folder)
    assert (found.stop_reason, found.preemptions) == (StopReason.OUT_OF_MEMORY, 0)
    assert re.search(r"had no memory left, in phase \w+ after step \d", found.stop_detail), found.stop_detail


# ---- comparing ledgers ----

KEY = TrialKey("entry", "mnist", "torch", 1, 1)
ROWS = evaluations(3.0)


def ledger(root, rows=ROWS, **changes):
    write_trial(root, dataclasses.replace(record(KEY, ROWS), **changes), rows)
    return root


@pytest.mark.parametrize(
    ("rows", "changes", "lost", "doubled", "difference"),
    [
        (ROWS, {"wall_sec": 9.0, "preemptions": 3, "machine": {}}, 0, 0, ""),
        ([{**row, "accumulated_submission_time": 1.0, "preemption_count": 2} for row in ROWS], {}, 0, 0, ""),
        (ROWS[1:], {}, 1, 0, ""),
        ([ROWS[0], *ROWS], {}, 0, 1, ""),
        ([ROWS[0], {**ROWS[1], "validation/accuracy": 0.9450000001}], {}, 0, 0, "validation/accuracy at step 30"),
        (ROWS, {"steps": 31}, 0, 0, "steps: 31 and 30"),
        (ROWS, {"crossing": None}, 0, 0, "steps to target: None and 30"),
        (ROWS, {"stop_reason": StopReason.CRASHED}, 0, 0, "stop_reason: crashed and target_reached"),
    ],
    ids=["times", "columns", "lost", "doubled", "value", "steps", "crossing", "reason"],
)
def test_ledgers_are_compared_in_all_but_times(tmp_path, rows, changes, lost, doubled, difference):
    found = compare_ledgers(ledger(tmp_path / "a", rows, **changes), ledger(tmp_path / "b"))
    assert (found.lost, found.doubled) == (lost, doubled)
    assert found.equal == (not (lost or doubled or difference))
    assert difference in "".join(found.differences) and bool(found.differences) == bool(difference)


def test_a_missing_trial_is_a_difference(tmp_path):
    (tmp_path / "b").mkdir()
    assert "recorded only in" in compare_ledgers(ledger(tmp_path / "a"), tmp_path / "b").differences[0]


def test_trials_that_time_ended_are_compared_as_far_as_both_went(tmp_path):
    one = ledger(tmp_path / "a", ROWS[:1], stop_reason=StopReason.BUDGET_EXHAUSTED, steps=20)
    found = compare_ledgers(one, ledger(tmp_path / "b"))
    assert found.equal and found.evaluations == 1 and len(found.cut_short) == 1
