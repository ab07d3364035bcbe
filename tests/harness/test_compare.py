"""``timetrial compare`` and ``timetrial cv`` through the real harness, on runs of a second."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness import cli_compare
from harness.cli import main
from harness.errors import UsageError
from harness.resampling import parse_plan
from harness.run import open_folder
from results.store import find_trials, read_evaluations, read_right, read_trial, trial_folder, write_trial
from scoring.comparison import DESIGNS, RESPONSES
from scoring.comparison import samples as samples_module
from scoring.statistics.multiplicity import ADJUSTMENTS

SHORT = ("--max-steps", "250", "--jobs", "1")


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def entries(tmp_path_factory, entry_sources):
    """A good entry twice, and one whose learning rate is far too small."""
    root = tmp_path_factory.mktemp("entries")
    for name, rate in (("good", "1e-3"), ("slow", "1e-6"), ("same", "1e-3")):
        (root / name).mkdir()
        (root / name / "submission.py").write_text(entry_sources["torch"].replace("1e-3", rate))
    return root


def test_the_options_are_the_tables():
    assert tuple(DESIGNS) == cli_compare.TESTS
    assert (*cli_compare.RESPONSES, "right") == tuple(RESPONSES)
    assert sorted(cli_compare.CORRECTIONS) == sorted(ADJUSTMENTS)


def test_a_clear_difference_is_found_and_nothing_is_run_twice(folder, entries, monkeypatch):
    command = ("compare", entries / "good", entries / "slow", "--response", "metric", "--out", folder, *SHORT)
    code, out, err = invoke(*command, "--json")
    assert code == 0, err
    found = json.loads(out)
    (row,) = found["rows"]
    assert (row["first"], row["second"], row["verdict"], row["df"], row["n"]) == (
        "good",
        "slow",
        "better",
        [10, 5],
        [10, 10],
    )
    assert row["p"] < 0.001 and row["effect"] < -0.2 and len(row["differences"]) == 10
    records = {p: read_trial(p) for fold in folder.glob("5x2cv/r*") for p in find_trials(fold)}
    assert len(records) == 20
    assert {r.spec.key.fold for r in records.values()} == {fold.label for fold in parse_plan("5x2cv").folds()}
    assert all(r.steps == 250 and read_right(p).shape == (2000,) for p, r in records.items())
    stamps = {p: (p / "trial.json").stat().st_mtime_ns for p in records}
    code, out, _ = invoke(*command)
    assert code == 0 and "good is better than slow on mnist" in out and "page: " in out
    assert {p: (p / "trial.json").stat().st_mtime_ns for p in records} == stamps
    assert list((folder / "comparisons").glob("*.html"))


def test_nothing_decided_exits_3_and_says_how_many_runs_would(folder, entries):
    code, out, err = invoke(
        "compare", entries / "good", entries / "same", "--response", "metric", "--margin", "1.0001", "--test",
        "permutation", "--plan", "holdout-2", "--out", folder / "holdout", *SHORT,
    )  # fmt: skip
    assert code == 3, err
    assert "not enough data" in out and "nothing could be decided" in err


def test_two_networks_of_the_same_seed_are_the_same_network(folder, entries):
    code, out, _ = invoke(
        "compare", entries / "good", entries / "same", "--test", "mcnemar", "--out", folder / "one", "--json", *SHORT
    )
    (row,) = json.loads(out)["rows"]
    assert code == 0 and row["degenerate"] and row["p"] == 1 and row["verdict"] == "no meaningful difference"


def test_tuning_happens_inside_the_folds_and_nested_reuses_it(folder, tmp_path):
    space = tmp_path / "space.json"
    fixed = {"one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.0, "warmup_fraction": 0.02}
    space.write_text(json.dumps([{"learning_rate": rate, **fixed} for rate in (1e-6, 1e-2)]))
    common = ("adamw_linear", "--framework", "torch", "--search-space", space, "--trials", 2, "--out", tmp_path / "cv")
    code, out, err = invoke("cv", *common, "--plan", "nested-2x2", "--response", "metric", "--json", *SHORT)
    assert code == 0, err
    (found,) = json.loads(out)
    assert [choice["point"] for choice in found["choices"]] == [1, 1] and found["same_point"] == 1
    assert found["non_nested_point"] == 1 and found["optimism"] == 0
    assert [point["learning_rate"] for point in found["points"]] == [1e-6, 1e-2]
    outer = [p for fold in (tmp_path / "cv" / "nested-2x2").glob("r1f?") for p in find_trials(fold)]
    inner = [p for fold in (tmp_path / "cv" / "nested-2x2").glob("r1f?-inner*") for p in find_trials(fold)]
    assert (len(outer), len(inner)) == (4, 8)
    code, out, _ = invoke("cv", *common, "--plan", "nested-2x2", "--response", "metric", *SHORT)
    assert code == 0 and "point 2 would be reported" in out and "learning_rate 0.01" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--test", "friedman"), "friedman needs at least 3 submissions, there are 2"),
        (("--plan", "kfold-1"), "the least kfold-K is kfold-2"),
        (
            ("--plan", "kfold-97", "--test", "corrected-t"),
            "has no target for 0.99 of its training data; set one with `timetrial targets mnist",
        ),
        (("-w", "mnits"), "unknown workload 'mnits'; did you mean 'mnist'"),
    ],
)
def test_bad_input_costs_no_training_time(entries, tmp_path, options, message, monkeypatch):
    def train(*_, **__):
        raise AssertionError("a trial was started")

    monkeypatch.setattr("harness.run.run_trials", train)
    code, _, err = invoke("compare", entries / "good", entries / "slow", "--out", tmp_path / "out", *options, *SHORT)
    assert code == 2 and message in err


def test_the_readmes_commands_follow_each_other_without_naming_folders(tmp_path, monkeypatch):
    asked = []

    def end_here(request, out, **_):
        open_folder(out, request, Console(quiet=True))
        asked.append(str(out))
        raise UsageError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.comparison.run", end_here)
    one = ("nadamw_cosine", "--framework", "torch")
    for verb, *options in (("compare", "adamw_linear"), ("compare", "adamw_linear", "--ruleset", "external"), ("cv",)):
        code, _, err = invoke(verb, *one, *options)
        assert code == 2 and "enough" in err
    assert asked == ["runs/compare", "runs/compare_external", "runs/cv"]


def test_tuning_needs_data_of_its_own(tmp_path):
    pair = ("adamw_linear", "nadamw_cosine", "--framework", "torch", "--ruleset", "external")
    code, _, err = invoke("compare", *pair, "--test", "permutation", "--out", tmp_path / "out")
    assert code == 2 and "holdout-8 leaves no data to tune on under the external ruleset" in err


def test_a_failed_trial_is_an_error_with_its_place(entries, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    source = (entries / "good" / "submission.py").read_text()
    (broken / "submission.py").write_text(source.replace("optimizer.step()", "raise RuntimeError('no')"))
    code, _, err = invoke(
        "compare", entries / "good", broken, "--test", "permutation", "--plan", "holdout-1", "--response", "metric",
        "--out", tmp_path / "out", *SHORT,
    )  # fmt: skip
    assert code == 2 and "1 of 2 trials in" in err and "stop_detail" in err


def test_a_miss_is_penalised_by_the_fixed_budget(tmp_path, entries):
    invoke(
        "compare", entries / "good", entries / "slow", "--response", "metric", "--test", "permutation",
        "--plan", "holdout-1", "--out", tmp_path, *SHORT,
    )  # fmt: skip
    (path,) = (p.parent for p in tmp_path.rglob("trial.json") if "slow" in p.parts)
    run = samples_module.read_run(path, "unit")
    assert run.steps == float("inf") and run.steps_limit == 250 and run.wall_limit > 0


def test_a_folder_gone_on_with_on_another_machine_is_refused_for_times_alone(tmp_path, entries):
    command = (
        "compare", entries / "good", entries / "slow", "--test", "permutation", "--plan", "holdout-1",
        "--out", tmp_path, *SHORT,
    )  # fmt: skip
    assert invoke(*command, "--response", "metric")[0] in (0, 3)
    (path,) = (p.parent for p in tmp_path.rglob("trial.json") if "slow" in p.parts)
    other = dataclasses.replace(read_trial(path), machine={"cpu": "another"})
    root = next(p for p in path.parents if trial_folder(p, other.spec.key) == path)
    write_trial(root, other, read_evaluations(path), read_right(path))
    code, _, err = invoke(*command)
    assert code == 2 and "two machine classes" in err and "cpu another" in err and "--across-machines" in err
    code, out, err = invoke(*command, "--across-machines", "--json")
    assert code in (0, 3) and "from cores_per_trial 1, cpu another" in json.loads(out)["scaled"], err
    assert invoke(*command, "--response", "steps")[0] in (0, 3)
