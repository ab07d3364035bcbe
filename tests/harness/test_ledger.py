"""The results folder as a ledger: damage is set aside and rerun, two launches do not trip over each other."""

import dataclasses
import io
import json
import os
import signal
import threading
import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.cli import main
from harness.errors import UsageError
from harness.lock import locked
from harness.progress import Progress
from harness.run import run
from harness.spec import Target
from harness.suite import Request
from results.store import find_trials, read_evaluations, read_trial, write_trial


@pytest.fixture(autouse=True)
def target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.75, 0.7))


@pytest.fixture
def request_of(write_entry):
    entry = write_entry("adam")
    request = Request(("mnist",), ((str(entry), None),), "self_tuning", studies=2, trials=1, max_steps=5)
    return lambda **changes: dataclasses.replace(request, **changes)


def invoke(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def go(request, out, **options):
    """The summary, and what was printed."""
    text = io.StringIO()
    return run(request, out, console=Console(file=text, width=1000), **options), text.getvalue()


def test_a_damaged_record_is_set_aside_named_and_rerun(tmp_path, request_of):
    go(request_of(), tmp_path / "out")
    first, second = find_trials(tmp_path / "out")
    kept = read_trial(second)
    path = first / "eval_measurements.csv"
    path.write_bytes(path.read_bytes() + b"9")
    summary, said = go(request_of(), tmp_path / "out")
    assert (summary.planned, summary.ran, summary.measured) == (2, 1, 2)
    assert f"{path} has another checksum" in said and "kept as trial_1.damaged-1" in said
    assert read_trial(first).steps == 5 and read_trial(second) == kept
    assert (first.parent / "trial_1.damaged-1").is_dir()
    assert go(request_of(), tmp_path / "out")[0].ran == 0


def test_a_damaged_run_file_is_set_aside_and_made_again(tmp_path, request_of):
    go(request_of(), tmp_path / "out")
    path = tmp_path / "out" / "run.json"
    before = json.loads(path.read_text())
    path.write_text(path.read_text()[:20])
    summary, said = go(request_of(), tmp_path / "out")
    assert summary.ran == 0 and "kept as run.json.damaged-1" in said
    assert json.loads(path.read_text())["seed"] == before["seed"]
    path.write_text("[]")
    with pytest.raises(UsageError, match="made under other conditions.*seed: recorded"):
        go(request_of(seed=1), tmp_path / "out")


def test_a_launch_into_a_folder_in_use_is_refused_and_changes_nothing(tmp_path, request_of):
    out = tmp_path / "out"
    with locked(out), pytest.raises(UsageError, match="another launch is running into"):
        go(request_of(), out)
    assert [path.name for path in out.iterdir()] == [".timetrial"]


def test_a_launch_killed_before_its_first_file_leaves_a_folder_that_can_be_used(tmp_path, request_of):
    out = tmp_path / "out"
    with locked(out):
        pass
    assert go(request_of(), out)[0].ran == 2


def test_a_clock_that_differs_from_the_commands_is_noted(tmp_path, write_entry):
    slow_and_sly = """
    import time
    import harness.clock

    harness.clock.Clock.elapsed = lambda self: 0.0
    time.sleep(3)
    _update = update_params

    def update_params(**arguments):
        if arguments["global_step"] == 0:
            time.sleep(3)
        return _update(**arguments)
    """
    entry = write_entry("sly", tail=slow_and_sly)
    go(Request(("mnist",), ((str(entry), None),), "self_tuning", 1, 1, max_steps=5), tmp_path / "out")
    (folder,) = find_trials(tmp_path / "out")
    assert any("do not trust its times" in note for note in read_trial(folder).notes)


def test_disturbed_trials_are_rerun_as_often_as_asked_and_kept(tmp_path, request_of):
    out = tmp_path / "out"
    go(request_of(), out)
    for folder in find_trials(out):
        calm = dataclasses.replace(read_trial(folder), disturbed="")
        noisy = "a core was slowed for its heat" if calm.spec.key.study == 2 else ""
        write_trial(out, dataclasses.replace(calm, disturbed=noisy), read_evaluations(folder))
    assert go(request_of(), out)[0].ran == 0, "nothing is rerun unless asked for"
    summary, said = go(request_of(), out, rerun_disturbed=1)
    assert (summary.planned, summary.ran, summary.measured) == (2, 1, 2)
    assert "slowed for its heat; kept as trial_1.disturbed-1, and run again" in said
    assert len(list(find_trials(out))) == 2
    assert go(request_of(), out, rerun_disturbed=1)[0].ran == 0


def test_the_command_reruns_a_disturbed_trial_once_unless_told_otherwise_and_plan_says_so(
    tmp_path, request_of, monkeypatch
):
    monkeypatch.delenv("TIMETRIAL_RERUN_DISTURBED")
    out, request = tmp_path / "out", request_of()
    go(request, out)
    for folder in find_trials(out):
        record = read_trial(folder)
        noisy = "a core was slowed for its heat" if record.spec.key.study == 2 else ""
        write_trial(out, dataclasses.replace(record, disturbed=noisy), read_evaluations(folder))
    (entry, _), *_ = request.submissions
    command = ["-s", entry, "-w", "mnist", "--studies", 2, "--max-steps", 5, "--out", out, "--jobs", 1]
    assert "disturbed, to be run again" not in invoke("plan", *command, "--rerun-disturbed", 0).stdout
    assert json.loads(invoke("run", *command, "--rerun-disturbed", 0, "--json").stdout)[0]["ran"] == 0
    planned = json.loads(invoke("plan", *command, "--json").stdout)[0]
    (folder,) = planned["disturbed"]
    assert "study_2" in folder and planned["counts"]["done"] == 2 and planned["expected_sec"] > 0
    assert f"disturbed, to be run again: {folder}" in invoke("plan", *command).stdout
    done = json.loads(invoke("run", *command, "--json", "--no-report").stdout)[0]
    assert (done["ran"], done["rerun"], done["measured"]) == (1, 1, 2)
    assert [path.name for path in out.rglob("trial_1.disturbed-*")] == ["trial_1.disturbed-1"]
    assert json.loads(invoke("run", *command, "--json", "--no-report").stdout)[0]["ran"] == 0, "once is the bound"


def test_a_disturbed_trial_of_another_machine_class_is_not_rerun_here(tmp_path, request_of):
    out = tmp_path / "out"
    go(request_of(), out)
    for folder in find_trials(out):
        changed = dataclasses.replace(read_trial(folder), disturbed="a core was slowed", machine={"cpu": "another"})
        write_trial(out, changed, read_evaluations(folder))
    with pytest.raises(UsageError, match="another machine class .cpu is 'another' there"):
        go(request_of(), out, rerun_disturbed=1, one_machine=True)
    assert not list(out.rglob("*.disturbed-*")) and len(list(find_trials(out))) == 2
    assert go(request_of(), out, one_machine=True)[0].ran == 0, "nothing is added, so nothing is refused"


def sleeping_once(update, action):
    """``update``, but for one time when a trial trains."""
    done = []

    def wrapper(self, running, waiting):
        if running and running[0].phase == "train" and not done:
            done.append(True)
            action(running[0].process.pid)
        return update(self, running, waiting)

    return wrapper


def stop_for_a_while(pid):
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(8.0, os.kill, (pid, signal.SIGCONT)).start()


@pytest.mark.parametrize("action", [lambda pid: time.sleep(8.0), stop_for_a_while], ids=["command", "trial"])
def test_who_is_stopped_by_others_has_not_trained_off_the_clock(tmp_path, request_of, monkeypatch, action):
    """A command that was stopped, or that waits for a slow disk, finds late what a trial told."""
    monkeypatch.setattr(Progress, "update", sleeping_once(Progress.update, action))
    summary, _ = go(request_of(studies=1, max_steps=1000), tmp_path / "out")
    (folder,) = find_trials(tmp_path / "out")
    record = read_trial(folder)
    assert record.breaches == () and summary.failed == 0
    assert record.watched["child_sec"] > 8.0
