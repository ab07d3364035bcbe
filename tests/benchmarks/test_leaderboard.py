"""The committed reference results: whole, of one machine class, current, and what the README's leaderboard says."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from benchmarks import leaderboard
from harness.suite import load_suite, requests_of
from harness.workloads import make_workload
from results.machines import MachineClasses
from results.store import find_trials, read_evaluations, read_trial


@pytest.fixture(scope="module")
def records():
    return [read_trial(folder) for folder in find_trials(leaderboard.RECORDS)]


def test_every_entry_ran_on_every_workload_in_three_studies(records):
    (request,) = requests_of(load_suite("reference"))
    assert request.ruleset == "self_tuning" and request.studies == 3
    assert len(request.submissions) >= 10 and len(request.workloads) >= 4
    studies = collections.Counter((r.spec.key.submission, r.spec.key.workload) for r in records)
    names = {f"{name}_{framework}" for name, framework in request.submissions}
    assert studies == {(name, workload): 3 for name in names for workload in request.workloads}


def test_each_workloads_come_from_one_machine_class_and_none_failed(records):
    classes = MachineClasses()
    found = {(record.spec.key.workload, classes.add(record, record.spec.key.folder)) for record in records}
    assert len(found) == len({workload for workload, _ in found})
    assert not [record.spec.key.folder for record in records if record.stop_reason.failed]


def test_they_were_run_against_todays_targets(records):
    for record in records:
        workload = make_workload(record.spec.key.workload)
        assert record.spec.workload_version == workload.version
        assert record.spec.validation_target == workload.target.validation


def test_each_has_evaluations_up_to_its_end(records):
    for folder in find_trials(leaderboard.RECORDS):
        record, rows = read_trial(folder), read_evaluations(folder)
        assert rows and rows[-1]["global_step"] <= record.steps
        if record.crossing is not None:
            assert rows[-1]["global_step"] == record.crossing.steps


def test_they_hold_records_and_nothing_large():
    files = [path for path in leaderboard.RECORDS.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 50_000
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_the_readme_shows_the_leaderboard_that_they_give():
    text = leaderboard.README.read_text()
    assert leaderboard.renewed(text) == text
    with pytest.raises(ValueError, match="README.md has no line '<!-- leaderboard"):
        leaderboard.renewed(text.replace(leaderboard.BEGIN, ""))


def test_no_record_names_a_path_of_the_machine():
    for path in Path(leaderboard.RECORDS).rglob("*.json"):
        assert '"/' not in path.read_text() and " /" not in path.read_text(), path
