"""Runs of two machine classes in one comparison."""

import dataclasses
import json

import pytest

from results.record import TrialKey
from results.store import trial_folder, write_trial
from results.synthetic import evaluations, record
from scoring.comparison import RESPONSES, Sample, compare, nested, on_one_machine, read_run
from scoring.comparison.pages import caption, page
from scoring.errors import ScoringError

QUICK, SLOW = (dict.fromkeys(("compute", "memory", "calls"), seconds) for seconds in (1e-3, 4e-3))
STUDIES = tuple(range(1, 5))


def runs(root, submission, wall, cpu="A 1", kernels=QUICK):
    """A run per study, as recorded, by (submission, study)."""
    found = {}
    for study in STUDIES:
        rows = evaluations(wall * (1 + 0.01 * study))
        made = record(TrialKey(submission, "u", "torch", study, 1), rows)
        speed = {"kernels_before_sec": kernels} if kernels else {}
        write_trial(root, dataclasses.replace(made, machine={"cpu": cpu}, speed=speed), rows)
        found[submission, study] = read_run(trial_folder(root, made.spec.key), f"study {study}")
    return found


def samples_of(found):
    names = dict.fromkeys(name for name, _ in found)
    return {
        (name, "u"): Sample(name, "u", "maximize", "accuracy", tuple(found[name, study] for study in STUDIES))
        for name in names
    }


def test_two_classes_are_refused_and_named(tmp_path):
    found = runs(tmp_path, "a", 10.0) | runs(tmp_path, "b", 20.0, cpu="B 2")
    with pytest.raises(ScoringError, match=r"cpu A 1.* in .*a/study_1.*cpu B 2.* in .*b/study_1.*--response steps.*"):
        on_one_machine(found, across_machines=False)


def test_one_class_stays_as_it_is(tmp_path):
    found = runs(tmp_path, "a", 10.0) | runs(tmp_path, "b", 20.0)
    assert on_one_machine(found, across_machines=False) == found
    result = compare(samples_of(found), test="permutation", plan="holdout-4", test_train_ratio=0)
    assert result.to_json()["scaled"] is None and "SCALED" not in caption(result)


def test_scaled_times_are_compared_and_marked(tmp_path):
    found = on_one_machine(
        runs(tmp_path, "a", 10.0) | runs(tmp_path, "b", 20.0, cpu="B 2", kernels=SLOW), across_machines=True
    )
    assert [found["b", 1].wall, found["b", 1].wall_limit] == pytest.approx([20.2 / 4, 100.0 / 4])
    assert found["a", 1].wall == pytest.approx(10.1)
    samples = samples_of(found)
    result = compare(samples, test="permutation", plan="holdout-4", test_train_ratio=0)
    assert result.rows[0].effect.value == pytest.approx(2.0)
    assert "SCALED: times scaled by calibration to" in caption(result) and "SCALED" in page(result, samples)
    assert "4 trials by 0.25 from" in json.dumps(result.to_json()["scaled"])


def test_a_tuning_on_two_machines_is_marked(tmp_path):
    found = on_one_machine(
        runs(tmp_path, "a", 10.0) | runs(tmp_path, "b", 20.0, cpu="B 2", kernels=SLOW), across_machines=True
    )
    folds = {f"f{study}": [found["a", study], found["b", study]] for study in STUDIES}
    inner = {fold: [[run], [run]] for fold, (run, _) in folds.items()}
    assert "by 0.25 from" in nested(inner, folds, RESPONSES["log-time"], "maximize").to_json()["scaled"]


def test_without_calibration_nothing_is_scaled(tmp_path):
    found = runs(tmp_path, "a", 10.0) | runs(tmp_path, "b", 20.0, cpu="B 2", kernels=None)
    with pytest.raises(ScoringError, match=r"b/study_1/.* have no calibration.*compare on --response steps"):
        on_one_machine(found, across_machines=True)
