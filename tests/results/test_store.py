import dataclasses
import json
import math
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results import store
from results.record import EVALUATION_COLUMNS, StopReason, TrialKey, TrialRecord
from results.store import (
    DamagedRecordError,
    StoreError,
    find_trials,
    read_evaluations,
    read_trial,
    remove_leftovers,
    set_aside,
    write_trial,
)
from results.synthetic import evaluations, record

KEY = TrialKey("entry", "mnist", "torch", 1, 2)
ROWS = evaluations(3.0)

names = st.text("abcdefgh_0123456789", min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(st.dictionaries(st.sampled_from([*EVALUATION_COLUMNS, "validation/x", "test/x"]), numbers), max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.builds(TrialKey, names, names, st.sampled_from(["torch", "jax"]), st.integers(1, 99), st.integers(1, 99)),
    reason=st.sampled_from(StopReason),
    text=st.text(),
    point=st.none() | st.dictionaries(names, numbers | st.booleans() | names),
    measured=rows,
)
def test_what_is_written_is_read(tmp_path, key, reason, text, point, measured):
    written = dataclasses.replace(
        record(key, ROWS, hyperparameters=point), stop_reason=reason, stop_detail=text, traceback=text
    )
    folder = write_trial(tmp_path, written, measured)
    assert folder == tmp_path / key.folder
    assert read_trial(folder) == written
    assert read_evaluations(folder) == measured
    assert folder in list(find_trials(tmp_path))


def test_a_second_record_replaces_the_first(tmp_path):
    write_trial(tmp_path, record(KEY, ROWS), ROWS)
    newer = dataclasses.replace(record(KEY, ROWS), stop_detail="again")
    folder = write_trial(tmp_path, newer, ROWS)
    assert read_trial(folder).stop_detail == "again"
    assert [path.name for path in folder.parent.iterdir()] == ["trial_2"]


def test_nan_metrics_survive(tmp_path):
    folder = write_trial(tmp_path, record(KEY, ROWS), [{**ROWS[0], "validation/accuracy": math.nan}])
    assert math.isnan(read_evaluations(folder)[0]["validation/accuracy"])


def test_columns_are_algoperfs_and_the_metrics_follow(tmp_path):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    header = (folder / "eval_measurements.csv").read_text().splitlines()[0].split(",")
    assert tuple(header) == (*EVALUATION_COLUMNS, "validation/accuracy")


def test_a_writer_that_dies_leaves_no_trial(tmp_path, monkeypatch):
    def die(path, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write_evaluations", die)
    with pytest.raises(StoreError, match=r"cannot write .*trial_2: No space left on device; free space"):
        write_trial(tmp_path, record(KEY, ROWS), ROWS)
    assert list(find_trials(tmp_path)) == []
    assert list((tmp_path / KEY.folder).parent.iterdir()) == []


def test_a_failed_replacement_keeps_the_older_record(tmp_path, monkeypatch):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)

    def die(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write_json", die)
    with pytest.raises(StoreError):
        write_trial(tmp_path, dataclasses.replace(record(KEY, ROWS), stop_detail="new"), ROWS)
    monkeypatch.undo()
    assert read_trial(folder) == record(KEY, ROWS)


def test_leftovers_of_killed_writers_are_no_trials_and_can_be_removed(tmp_path):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    leftover = folder.parent / ".writing-abc"
    leftover.mkdir()
    (leftover / "trial.json").write_text("{")
    assert list(find_trials(tmp_path)) == [folder]
    assert remove_leftovers(tmp_path) == 1 and not leftover.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(StoreError, match="cannot write"):
        write_trial(tmp_path, record(KEY, ROWS), ROWS)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "entry").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_trial(tmp_path, record(KEY, ROWS), ROWS)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[: len(text) // 2], r"trial.json:\d+: not JSON"),
        (lambda text: text.replace('"digest"', '"digset"', 1), "lacks or does not know a field"),
        (lambda text: text.replace('"schema_version": 3', '"schema_version": null'), "schema_version is None"),
        (lambda text: text.replace("target_reached", "bored"), "bored"),
        (lambda text: text.replace('"batch_size": 32', '"batch_size": 33'), "another checksum"),
        (lambda text: text.replace('"checksums"', '"csums"'), "does not know a field"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "checksums"}), "is missing"),
        (lambda text: "[]", "schema_version is None"),
        (lambda text: "\udcff", "utf-8"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path, damage, message):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    path = folder / "trial.json"
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(DamagedRecordError, match=message) as caught:
        read_trial(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["eval_measurements.csv", "hparams.json", "test_right.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_to_any_file_is_found(tmp_path, name, damage):
    path = write_trial(tmp_path, record(KEY, ROWS), ROWS, np.array([True, False, True])) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    {
        "flip": lambda: path.write_bytes(content),
        "cut": lambda: path.write_bytes(content[:-1]),
        "remove": path.unlink,
    }[damage]()
    with pytest.raises(DamagedRecordError, match=rf"{name} (has another checksum|is missing)"):
        read_trial(path.parent)


def test_a_record_of_the_first_schema_is_read(tmp_path):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    data = json.loads((folder / "trial.json").read_text())
    for newer in ("checksums", "notes", "preemptions", "timeline", "watched", "speed", "disturbed", "flops_per_step"):
        del data[newer]
    older = {"schema_version": 1, "segments": {"first_step": 2.0, "step": 3.0}}
    (folder / "trial.json").write_text(json.dumps({**data, **older}))
    expected = {"schema_version": 1, "segments": {"compile": 2.0, "step": 3.0}}
    assert read_trial(folder) == dataclasses.replace(record(KEY, ROWS), **expected)


def test_a_record_of_a_later_schema_is_not_taken_for_damage(tmp_path):
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    path = folder / "trial.json"
    path.write_text(path.read_text().replace('"schema_version": 3', '"schema_version": 99'))
    with pytest.raises(StoreError, match="schema_version is 99; this timetrial reads up to 3") as caught:
        read_trial(folder)
    assert not isinstance(caught.value, DamagedRecordError)


def test_damaged_folders_are_set_aside_under_names_that_no_reader_takes(tmp_path):
    names = []
    for _ in range(2):
        folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
        names.append(set_aside(folder).name)
    assert names == ["trial_2.damaged-1", "trial_2.damaged-2"]
    assert list(find_trials(tmp_path)) == []


def test_no_record(tmp_path):
    with pytest.raises(StoreError, match=r"no trial's folder: it holds no trial\.json; trials lie in .*trial_<n>"):
        read_trial(tmp_path)
    folder = write_trial(tmp_path, record(KEY, ROWS), ROWS)
    (folder / "trial.json").unlink()
    with pytest.raises(DamagedRecordError, match=r"trial\.json is missing; the command that made it"):
        read_trial(folder)


def test_a_record_is_plain_json_data():
    made = record(KEY, ROWS)
    assert TrialRecord.from_json(made.to_json()) == made
