"""Which trials are of one machine class, and what a score does with two."""

import dataclasses
import re

import pytest

from results.machines import MachineClass, class_facts
from results.record import TrialKey
from results.store import write_trial
from results.synthetic import evaluations, record
from scoring import api, figures
from scoring.errors import ScoringError
from scoring.report import write_report
from scoring.words import caption

MACHINE = {
    "cpu": "A 1",
    "cores": 4,
    "memory_gib": 24,
    "accelerators": ["H100, 550.1", "H100, 550.1"],
    "system": "Linux x86_64",
    "class": "x",
    "fingerprint": {"instruction_sets": ["avx2"], "blas": "openblas 1", "cuda": "12"},
}
OTHER = MACHINE | {"cpu": "B 2", "class": "y"}
FAST = {"compute": 1e-3, "memory": 2e-3, "calls": 4e-3}
SLOW = {"compute": 2e-3, "memory": 4e-3, "calls": 8e-3}


def differs(one, other, threads=(1, 1), versions=({}, {})):
    known = MachineClass(class_facts(one, threads[0], versions[0]), "")
    return known.differs(class_facts(other, threads[1], versions[1]))


@pytest.mark.parametrize(
    "change",
    [
        {"cores": 1},
        {"class": "another"},
        {"accelerators": ["H100, 550.90", "H100, 550.2"]},
        {"fingerprint": {}},
        {"fingerprint": MACHINE["fingerprint"] | {"kernel": "7.0", "all_cores": 64}},
    ],
    ids=["cores of the launcher", "its old id", "a minor driver", "an older record", "another kernel"],
)
def test_one_class(change):
    assert not differs(MACHINE, MACHINE | change)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"cpu": "B"}, "cpu"),
        ({"memory_gib": 8}, "memory_gib"),
        ({"accelerators": ["H100, 550.1"]}, "accelerators"),
        ({"accelerators": ["H100, 560.1"] * 2}, "accelerators"),
        ({"fingerprint": MACHINE["fingerprint"] | {"cuda": "13"}}, "cuda"),
        ({"fingerprint": MACHINE["fingerprint"] | {"blas": "mkl"}}, "blas"),
        ({"fingerprint": MACHINE["fingerprint"] | {"instruction_sets": ["avx512f"]}}, "instruction_sets"),
    ],
)
def test_two_classes(change, name):
    assert differs(MACHINE, MACHINE | change) == [name]


def test_threads_and_framework_are_part_of_it_timetrial_is_not():
    assert differs(MACHINE, MACHINE, threads=(1, 2)) == ["cores_per_trial"]
    assert differs(MACHINE, MACHINE, versions=({"torch": "2.13.0"}, {"torch": "2.14.0"})) == ["torch"]
    assert not differs(MACHINE, MACHINE, versions=({"torch": "2.13.0+cpu"}, {"torch": "2.13.1"}))
    assert not differs(MACHINE, MACHINE, versions=({"torch": "2", "timetrial": "1"}, {"jax": "1", "timetrial": "2"}))


def write(root, submission, wall, machine, kernels, workload="u"):
    rows = evaluations(wall)
    made = record(TrialKey(submission, workload, "torch", 1, 1), rows)
    speed = {"kernels_before_sec": kernels} if kernels else {}
    write_trial(root, dataclasses.replace(made, machine=machine, speed=speed), rows)
    return root


@pytest.fixture
def folders(tmp_path):
    here = write(tmp_path / "here", "A", 10.0, MACHINE, FAST)
    write(here, "C", 40.0, MACHINE, FAST)
    return here, write(tmp_path / "there", "B", 16.0, OTHER, SLOW)


def test_two_classes_are_refused_with_both_named(folders):
    with pytest.raises(ScoringError) as error:
        api.score(folders)
    said = str(error.value)
    assert re.search(r"cpu A 1.* in .*here/A.*cpu B 2.* in .*there/B.*differ in cpu", said)
    assert "--across-machines" in said


def test_classes_that_meet_on_no_workload_are_not_compared_anyway(tmp_path):
    for workload, machine in (("u", MACHINE), ("v", OTHER)):
        for submission, wall in (("A", 10.0), ("B", 16.0)):
            write(tmp_path, submission, wall, machine, FAST, workload)
    board = api.score([tmp_path])
    assert [board.field.times(name, "v").tolist() for name in "AB"] == [[10.0], [16.0]]
    assert "several_machines" in {i.kind for i in board.irregularities}
    write(tmp_path, "C", 12.0, OTHER, FAST, "u")
    with pytest.raises(ScoringError, match="two machine classes"):
        api.score([tmp_path])


def test_steps_need_no_machine(folders):
    board = api.score(folders, clock="steps")
    assert "several_machines" in {i.kind for i in board.irregularities}
    assert board.field.times("B", "u").tolist() == [160.0]


def test_times_are_scaled_to_the_class_with_most_trials_and_marked(folders, tmp_path, monkeypatch):
    board = api.score(folders, across_machines=True)
    assert board.field.times("B", "u").tolist() == pytest.approx([8.0])
    assert board.field.times("A", "u").tolist() == [10.0]
    assert [entry.submission for entry in board.entries] == ["B", "A", "C"]
    assert "SCALED: times scaled by calibration" in caption(board)
    assert "1 trials by 0.5 from" in board.to_json()["benchmark"]["scaled"]
    drawn = []
    draw = figures.metric_curves
    monkeypatch.setattr(figures, "metric_curves", lambda *given: drawn.append(given[-1]) or draw(*given))
    assert "SCALED" in write_report(folders, tmp_path / "page", across_machines=True).read_text()
    last = {name: float(trial[0][0][-1]) for name, (trial, *_) in drawn[0].items()}
    assert last["B"] == pytest.approx(8.0) and last["A"] == 10.0, "the report's curves end where the times do"


def test_without_calibration_times_cannot_be_scaled(folders, tmp_path):
    old = write(tmp_path / "old", "D", 5.0, MACHINE | {"cpu": "C 3"}, None)
    with pytest.raises(ScoringError, match=r"old/D.* have no calibration"):
        api.score([folders[0], old], across_machines=True)


def test_seconds_of_a_gpu_are_no_multiple_of_a_processors(folders, tmp_path):
    kernels = {**SLOW, "gpu compute": 1e-3}
    gpu = write(tmp_path / "gpu", "D", 5.0, MACHINE | {"accelerators": ["H100, 550.1"], "device": "H100"}, kernels)
    with pytest.raises(ScoringError, match=r"here/A.* have no calibration on a GPU, as others here have"):
        api.score([folders[0], gpu], across_machines=True)
