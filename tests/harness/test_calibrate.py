"""``timetrial calibrate`` through the command line, on runs of a second each."""

import dataclasses
import json
import shutil

import pytest
import yaml
from click.testing import CliRunner

from harness.calibrate import plan_candidates, plan_search
from harness.cli import main
from harness.config import load_document
from harness.entry import find_entry, locate
from harness.spec import Target
from harness.workloads import make_workload, workload_names
from results.store import find_trials, read_evaluations, read_trial, write_trial

SHORT = ("-w", "mnist", "--studies", "2", "--max-steps", "250", "--clock", "steps", "--jobs", "1")
FIXED = {"beta2": 0.99, "warmup_fraction": 0.02, "weight_decay": 0.0}
RATES = (1e-6, 1e-2)


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module", autouse=True)
def easy_target():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.5, 0.4))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("calibrate")


@pytest.fixture(scope="module")
def command(folder):
    """A search over two learning rates, the first of which is far too small."""
    space = folder / "space.json"
    space.write_text(json.dumps([{"learning_rate": rate, "one_minus_beta1": 0.1, **FIXED} for rate in RATES]))
    return ("calibrate", "adamw_linear", "--search-space", space, "--out", folder / "runs", *SHORT)


@pytest.fixture(scope="module")
def calibrated(folder, command):
    code, out, err = invoke(*command, "--json", "--write", folder / "calibrated.yaml")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def no_training(monkeypatch):
    def train(trials, **_):
        assert not trials, "a trial was started"

    monkeypatch.setattr("harness.run.run_trials", train)


def test_the_point_that_reaches_the_target_is_chosen(calibrated):
    assert calibrated["chosen"]["point"] == 2 and calibrated["chosen"]["hyperparameters"]["learning_rate"] == 1e-2
    bad, good = calibrated["points"]
    assert (bad["score"], bad["reached"], bad["ratios"]["mnist"]) == (0, 0, None)
    assert good["score"] > 0 and good["reached"] == 1 and good["ratios"]["mnist"] > 0
    nested = calibrated["nested"]
    assert [(fold["study"], fold["point"]) for fold in nested["folds"]] == [(1, 2), (2, 2)]
    assert nested["optimism"] == 0 and nested["same_point"] == 1 and nested["interval"] is None
    assert calibrated["trials"] == {"ran": 6, "measured": 6, "failed": 0} and calibrated["transfer"] is None


def test_points_have_the_budget_of_an_entry_without_tuning_as_the_reference_has(calibrated, folder):
    points, reference = (
        [read_trial(trial).spec for trial in find_trials(folder / "runs" / name)]
        for name in ("candidates", "reference")
    )
    assert {spec.ruleset for spec in points} == {"external"} and {s.ruleset for s in reference} == {"self_tuning"}
    budget = 1.5 * make_workload("mnist").base_settings.max_runtime_sec
    assert {spec.budget_sec for spec in (*points, *reference)} == {budget}
    tried = {(s.key.study, s.key.trial): s.hyperparameters["learning_rate"] for s in points}
    assert tried == {(study, trial): RATES[trial - 1] for study in (1, 2) for trial in (1, 2)}
    assert all(spec.hyperparameters is None for spec in reference) and len(reference) == 2


def test_nothing_is_run_twice_and_the_report_says_what_was_found(calibrated, command, no_training):
    code, out, err = invoke(*command)
    assert code == 0, err
    assert "→" in out and "nested score: " in out and "fewer than three studies: no interval" in out
    assert "optimism of choosing and scoring on the same runs: +0.0000; 100% of the studies' choices are point 2" in out
    code, out, _ = invoke(*command, "--trials", "1")
    assert code == 3 and "No point reached any target" in out


def test_the_written_file_is_the_entry_with_other_defaults_and_runs(calibrated, folder, command):
    path = folder / "calibrated.yaml"
    entry = find_entry(str(path))
    assert (entry.name, entry.self_tuning) == ("adamw_linear_calibrated", True)
    before, after = load_document(locate("adamw_linear")).data, load_document(path).data
    assert {key for key in after if after[key] != before[key]} == {"name", "summary", "defaults"}
    assert after["defaults"] == calibrated["chosen"]["hyperparameters"]
    assert after["summary"].endswith("one configuration calibrated on mnist")
    assert "# Point 2 of 2, seed 0, torch, 2 studies, scored against nadamw_cosine on mnist." in path.read_text()
    code, _, err = invoke(
        "run", "-s", path, "-w", "mnist", "--framework", "torch", "--studies", "1", "--max-steps", "250", "--no-report",
        "--out", folder / "again", "--jobs", "1",
    )  # fmt: skip
    assert code == 0, err
    (record,) = (read_trial(trial) for trial in find_trials(folder / "again"))
    of_point = folder / "runs" / "candidates" / "adamw_linear_torch" / "study_1" / "mnist_pytorch" / "trial_2"
    assert record.spec.hyperparameters is None and record.crossing.steps == read_trial(of_point).crossing.steps


def test_entries_share_the_reference_and_failed_trials_are_misses(calibrated, folder, write_entry):
    broken = write_entry(
        "half_broken", replace={"    optimizer.step()": "    optimizer.step()\n    hyperparameters.by / 1"}
    )
    (broken / "tuning_search_space.json").write_text(json.dumps([{"by": "text"}, {"by": 2}]))
    code, out, err = invoke("calibrate", broken, "--out", folder / "runs", "--json", *SHORT)
    found = json.loads(out)
    assert code == 4, err
    assert "2 trials failed and count as misses" in err
    assert found["trials"] == {"ran": 4, "measured": 4, "failed": 2}
    assert found["chosen"]["hyperparameters"] == {"by": 2} and found["points"][0]["reached"] == 0
    assert any("no evaluation" in note for note in found["notes"])
    code, _, err = invoke("calibrate", broken, "--out", folder / "runs", "--write", folder / "new.yaml", *SHORT)
    assert code == 2 and "half_broken is code" in err and "submission_info.yml" in err


def test_other_points_in_the_same_folder_are_refused(calibrated, command, folder, tmp_path, no_training):
    space = tmp_path / "space.json"
    space.write_text(json.dumps([{"learning_rate": 1e-5, "one_minus_beta1": 0.1, **FIXED}]))
    code, _, err = invoke(*command, "--search-space", space)
    assert code == 2 and "point 1 was" in err and "choose another --out" in err
    code, _, err = invoke(*command, "--write", locate("adamw_linear"))
    assert code == 2 and "the file holds another entry" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prodigy", "--studies", "1"), "--studies 1: the nested score chooses on some studies"),
        (("prodigy", "--reference", "nadamw_cosin"), "unknown submission 'nadamw_cosin'; did you mean 'nadamw_cosine'"),
        (("prodigi",), "unknown submission 'prodigi'; did you mean 'prodigy'"),
        (("prodigy", "--suite", "standart"), "unknown suite 'standart'; did you mean 'standard'"),
        (("prodigy", "-w", "mnits"), "unknown workload 'mnits'; did you mean 'mnist'"),
        (("prodigy", "--write", "calibrated.txt"), "a composition is a .yaml file"),
    ],
)
def test_bad_input_costs_no_training_time(tmp_path, arguments, message, no_training):
    code, _, err = invoke("calibrate", *arguments, "--out", tmp_path / "out")
    assert code == 2 and message in err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_a_search_would_cost_and_leaves_no_trace(calibrated, command, no_training, tmp_path):
    arguments = ["calibrate", "prodigy", "-w", "mnist", "--trials", "3", "--studies", "2", "--dry-run"]
    code, shown, _ = invoke(*arguments, "--out", tmp_path / "out")
    assert code == 0 and not (tmp_path / "out").exists()
    assert "self_tuning ruleset into" in shown and ": 2 trials (2 missing)" in shown
    assert "external ruleset into" in shown and ": 6 trials (6 missing)" in shown
    assert shown.count("to run: at most") == 2
    code, shown, _ = invoke(*command, "--dry-run", "--json")
    done = json.loads(shown)
    assert [part["counts"]["missing"] for part in done] == [0, 0] and sum(part["trials"] for part in done) > 2


def test_there_must_be_something_to_search(tmp_path, write_entry, no_training):
    code, _, err = invoke("calibrate", write_entry("plain"), "--out", tmp_path / "out")
    assert code == 2 and "plain has no search_space, so there is nothing to search" in err


def test_a_reference_needs_defaults(tmp_path, no_training):
    data = yaml.safe_load(locate("adamw_linear").read_text())
    del data["defaults"]
    path = tmp_path / "tuned.yaml"
    path.write_text(yaml.safe_dump({**data, "name": "tuned"}))
    code, _, err = invoke("calibrate", "prodigy", "--reference", path, "--out", tmp_path / "out")
    assert code == 2 and "tuned cannot run under the self_tuning ruleset: it has no defaults" in err


def test_a_suite_gives_the_workloads_and_more_trials_add_points(tmp_path):
    few, more = (plan_search("prodigy", suite="standard", trials=n, out=tmp_path) for n in (3, 5))
    assert few.candidates.workloads == workload_names() and few.framework == "torch"
    assert more.points[:3] == few.points and len(more.points) == 5
    few.points_file.parent.mkdir()
    few.points_file.write_text(json.dumps(few.points))
    planned = plan_candidates(few, few.points_file)
    assert len(planned) == len(workload_names()) * 3 * 3
    for number, point in enumerate(few.points, 1):
        assert all(t.task.spec.hyperparameters == point for t in planned if t.key.trial == number)


def test_runs_of_two_machine_classes_are_refused_or_scaled(calibrated, folder, command, no_training, tmp_path):
    out = tmp_path / "runs"
    shutil.copytree(folder / "runs", out)
    for trial in list(find_trials(out / "reference")):
        other = dataclasses.replace(read_trial(trial), machine={"cpu": "another"})
        write_trial(out / "reference", other, read_evaluations(trial))
    wall = [word for word in SHORT if word not in ("--clock", "steps")]
    command = (*command[: command.index("--out")], "--out", out, *wall)
    code, _, err = invoke(*command)
    assert code == 2 and "trials of two machine classes" in err and "--across-machines" in err
    code, _, err = invoke(*command, "--studies", "3")
    assert code == 2 and "cpu is 'another' there" in err, "before a trial is started"
    assert invoke(*command, "--clock", "steps")[0] == 0
    code, said, err = invoke(*command, "--across-machines", "--json")
    assert code == 0 and any("times scaled by calibration" in note for note in json.loads(said)["notes"]), err
