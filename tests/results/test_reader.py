import dataclasses
import math

import pytest

from results.evaluations import Goal, find_hit, read_columns
from results.reader import read_table
from results.record import EXAMPLES, STEPS, WALL, StopReason
from results.store import (
    EVALUATIONS_FILE,
    TRIAL_FILE,
    StoreError,
    read_evaluations,
    read_trial,
    set_aside,
    write_trial,
)
from results.synthetic import DEFAULT_GOAL, write_logs, write_runs

GOALS = {"u": DEFAULT_GOAL, "v": Goal("loss", "minimize", 0.2, 50.0)}
TIMES = {"A": {"u": [[10.0, 12.0], [math.inf, 11.0]], "v": [[5.0, 6.0], [7.0, 8.0]]}}


def kinds(table):
    return {irregularity.kind for irregularity in table.irregularities.as_tuple()}


def only_trial(table):
    [trial] = table.trials
    return trial


def write_one(tmp_path, text):
    write_logs(tmp_path, {"A": {"u": [[10.0]]}}, GOALS)
    path = tmp_path / "A/study_1/u_jax/trial_1" / EVALUATIONS_FILE
    path.write_text(text)
    return read_table([tmp_path], GOALS.get)


def rewrite(root, changes_of):
    """Replaces fields of the record of A's first trial on u."""
    folder = root / "A/study_1/u_pytorch/trial_1"
    record = read_trial(folder)
    write_trial(root, dataclasses.replace(record, **changes_of(record)), read_evaluations(folder))


def test_own_runs_and_logs_give_the_same_facts(tmp_path):
    own = read_table([write_runs(tmp_path / "own", TIMES, GOALS)])
    logs = read_table([write_logs(tmp_path / "logs", TIMES, GOALS)], GOALS.get)
    assert [trial.hit and trial.hit.wall for trial in own.trials] == [10, 12, None, 11, 5, 6, 7, 8]
    for mine, theirs in zip(own.trials, logs.trials, strict=True):
        assert (mine.workload, mine.study, mine.trial) == (theirs.workload, theirs.study, theirs.trial)
        if mine.hit:
            assert (mine.hit.wall, mine.hit.steps, mine.hit.index) == (theirs.hit.wall, theirs.hit.steps, 1)
            assert (mine.hit.previous_wall, mine.hit.previous_steps) == (mine.hit.wall / 2, mine.hit.steps / 2)
    assert own.trials[2].reason == "budget_exhausted" and logs.trials[2].reason == ""
    assert own.goals == GOALS and own.shared["ruleset"] == "external" and not logs.own
    assert kinds(own) == kinds(logs) == set()


def test_one_submissions_folder_may_be_given(tmp_path):
    write_runs(tmp_path, {**TIMES, "B": TIMES["A"]}, GOALS)
    assert {trial.submission for trial in read_table([tmp_path / "A"]).trials} == {"A"}
    both = read_table([tmp_path / "B", tmp_path / "A"])
    assert both.trials == read_table([tmp_path]).trials


def test_half_written_line_is_dropped_and_listed(tmp_path):
    table = write_one(tmp_path, f"{STEPS},{WALL},validation/accuracy\n1,1.0,0.5\n2,2.0,0.95\n3,3.0")
    assert only_trial(table).hit.wall == 2.0 and only_trial(table).evaluations == 2
    assert kinds(table) == {"damaged_line"}


def test_a_last_line_without_end_is_kept_and_listed(tmp_path):
    table = write_one(tmp_path, f"{STEPS},{WALL},validation/accuracy\n1,1.0,0.5\n2,2.0,0.95")
    assert only_trial(table).hit.wall == 2.0
    assert kinds(table) == {"damaged_line"}


def test_nan_and_empty_metrics_never_reach_the_target(tmp_path):
    table = write_one(tmp_path, f"{STEPS},{WALL},validation/accuracy\n1,1.0,nan\n2,2.0,\n3,3.0,0.95\n")
    assert only_trial(table).hit.wall == 3.0
    assert kinds(table) == {"nan_metric"}


@pytest.mark.parametrize("text", ["", f"{STEPS},{WALL},validation/accuracy\n", "\n"])
def test_empty_files_are_misses(tmp_path, text):
    table = write_one(tmp_path, text)
    assert only_trial(table).hit is None and only_trial(table).evaluations == 0
    assert kinds(table) == {"no_evaluations"}


def test_a_missing_file_is_a_miss(tmp_path):
    write_logs(tmp_path, TIMES, GOALS)
    (tmp_path / "A/study_1/u_jax/trial_1" / EVALUATIONS_FILE).unlink()
    table = read_table([tmp_path], GOALS.get)
    assert table.trials[0].hit is None
    assert kinds(table) == {"no_evaluations"}


def test_equality_reaches_the_target_in_both_directions():
    for goal in (Goal("m", "minimize", 0.3), Goal("m", "maximize", 0.3)):
        assert find_hit({WALL: [1.0], STEPS: [1.0], goal.column: [0.3]}, goal).wall == 1.0


def test_rows_in_another_order_make_no_difference(tmp_path):
    header = f"{STEPS},{WALL},validation/accuracy\n"
    rows = ["1,1.0,0.5\n", "2,2.0,0.95\n", "3,3.0,0.97\n"]
    ordered, _ = read_columns(_file(tmp_path, header + "".join(rows)), [STEPS, WALL])
    mixed, _ = read_columns(_file(tmp_path, header + "".join(reversed(rows))), [STEPS, WALL])
    assert ordered == mixed


def _file(folder, text):
    path = folder / "rows.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("column", ["validation/accuracy", WALL, STEPS])
def test_a_missing_column_is_an_error_that_names_file_and_column(tmp_path, column):
    header = [name for name in (STEPS, WALL, "validation/accuracy") if name != column]
    with pytest.raises(StoreError, match=rf"{EVALUATIONS_FILE} has no column '{column}'"):
        write_one(tmp_path, ",".join(header) + "\n1,0.95\n")


def test_a_folder_without_logs(tmp_path):
    with pytest.raises(StoreError, match="holds no trials; expected"):
        read_table([tmp_path])
    with pytest.raises(StoreError, match="is not a directory"):
        read_table([tmp_path / "nowhere"])


def test_logs_without_a_benchmark_ask_for_one(tmp_path):
    write_logs(tmp_path, TIMES, GOALS)
    with pytest.raises(StoreError, match=r"has no trial.json.*--benchmark"):
        read_table([tmp_path])


def test_the_same_trial_twice(tmp_path):
    write_logs(tmp_path / "one", TIMES, GOALS)
    write_logs(tmp_path / "two", TIMES, GOALS, framework="torch")
    with pytest.raises(StoreError, match="the same trial twice: .*u_jax.* and .*u_pytorch"):
        read_table([tmp_path / "one", tmp_path / "two"], GOALS.get)


def test_studies_of_one_submission_may_come_from_two_folders(tmp_path):
    write_logs(tmp_path / "one", TIMES, GOALS)
    (tmp_path / "two/A").mkdir(parents=True)
    (tmp_path / "one/A/study_2").rename(tmp_path / "two/A/study_2")
    assert len(read_table([tmp_path / "one", tmp_path / "two"], GOALS.get).trials) == 8


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"ruleset": "self_tuning"}, "ruleset: external in .* and self_tuning in"),
        ({"track": "open"}, "track"),
        ({"scale": "full"}, "scale"),
        ({"workload_version": 2}, "version of u"),
        ({"validation_target": 0.8}, "goal of u"),
    ],
)
def test_runs_that_must_not_be_compared(tmp_path, changes, what):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}})
    write_runs(tmp_path, {"B": {"u": [[10.0]]}}, **changes)
    with pytest.raises(StoreError, match=f"mixed {what}.*score them separately"):
        read_table([tmp_path])


def test_stray_folders_are_ignored_and_listed(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    (tmp_path / "A/study_1/trial_1").mkdir()
    (tmp_path / "A/study_1/u_pytorch/old").mkdir()
    (tmp_path / "report").mkdir()
    table = read_table([tmp_path])
    assert len(table.trials) == 8 and kinds(table) == {"unrecognised_folder"}


def test_half_written_trials_are_ignored(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    whole = tmp_path / "A/study_1/u_pytorch/trial_2"
    whole.rename(whole.parent / ".writing-x1")
    assert len(read_table([tmp_path]).trials) == 7


def test_a_record_that_disagrees_with_its_evaluations_is_listed(tmp_path):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}})
    rewrite(tmp_path, lambda record: {"crossing": dataclasses.replace(record.crossing, steps=7)})
    table = read_table([tmp_path])
    assert only_trial(table).hit.steps == 100 and kinds(table) == {"record_disagrees"}


@pytest.mark.parametrize(("batches", "told"), [(100, set()), (115, set()), (200, {"several_batches_per_step"})])
def test_who_draws_several_batches_per_step_is_listed(tmp_path, batches, told):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}})
    folder = tmp_path / "A/study_1/u_pytorch/trial_1"
    record, rows = read_trial(folder), read_evaluations(folder)
    rows = [{**row, EXAMPLES: row[STEPS] * 8 * batches / 100} for row in rows]
    write_trial(tmp_path, dataclasses.replace(record, batch_size=8), rows)
    assert rows[-1][STEPS] == 100 and kinds(read_table([tmp_path])) == told


def test_several_machines_are_listed(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    rewrite(tmp_path, lambda record: {"machine": {"class": "another"}})
    table = read_table([tmp_path])
    assert kinds(table) == {"several_machines"}
    assert table.facts["machine"] == {"class another": 1, "class synthetic": 7}


def test_a_disturbed_machine_is_listed(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    rewrite(tmp_path, lambda record: {"disturbed": "its process waited for a core 40% of the time"})
    [listed] = read_table([tmp_path]).irregularities.as_tuple()
    assert listed.kind == "disturbed_machine" and listed.message.startswith("its process waited")


def test_a_disqualified_trial_is_a_miss_and_listed(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    why = "the submission starts a thread (mine.py:7)"
    rewrite(tmp_path, lambda record: {"stop_reason": StopReason.DISQUALIFIED, "stop_detail": why, "crossing": None})
    table = read_table([tmp_path])
    [listed] = table.irregularities.as_tuple()
    assert (listed.kind, listed.message) == ("disqualified", f"{why}; the trial counts as a miss")
    assert table.trials[0].hit is None and all(trial.hit for trial in table.trials[3:])


def test_a_run_without_a_target_is_not_scored(tmp_path):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}}, validation_target=None)
    with pytest.raises(StoreError, match="validation_target is null"):
        read_table([tmp_path])


def test_a_damaged_record_is_left_out_and_listed_and_one_set_aside_is_no_trial(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    cell = tmp_path / "A/study_1/u_pytorch"
    (cell / "trial_1" / TRIAL_FILE).write_text("{")
    set_aside(cell / "trial_2")
    table = read_table([tmp_path])
    assert len(table.trials) == 6
    assert kinds(table) == {"damaged_record", "set_aside"}


def test_a_record_that_a_runs_folder_has_lost_is_left_out_and_listed_and_so_is_a_damaged_run_file(tmp_path):
    write_runs(tmp_path, TIMES, GOALS)
    (tmp_path / "A/study_1/u_pytorch/trial_1" / TRIAL_FILE).unlink()
    with pytest.raises(StoreError, match="has no trial.json, so its target is unknown"):
        read_table([tmp_path])
    (tmp_path / "run.json").write_text('{"seed": ')
    table = read_table([tmp_path])
    assert len(table.trials) == 7
    told = {listed.kind: listed.message for listed in table.irregularities.as_tuple()}
    assert set(told) == {"damaged_record", "damaged_run_file"}
    assert "trial.json is missing" in told["damaged_record"] and "run.json: not JSON" in told["damaged_run_file"]


def test_nothing_but_damaged_records_is_an_error(tmp_path):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}}, GOALS)
    (tmp_path / "A/study_1/u_pytorch/trial_1" / TRIAL_FILE).write_text("{")
    with pytest.raises(StoreError, match="not JSON"):
        read_table([tmp_path])
