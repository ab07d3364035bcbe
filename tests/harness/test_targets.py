import json
import statistics

import pytest

from harness.entry import default_point
from harness.errors import UsageError
from harness.resampling import Resampling, parse_plan
from harness.spec import Metric, Target, WorkloadError, target_records, targets_path
from harness.targets import _candidates, set_resampled_targets, set_targets
from harness.workloads import make_workload, workload_class, workload_names
from results.store import find_trials, read_evaluations, read_trial


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """A targets file of the test's own in the place of mnist's."""
    path = tmp_path / "targets.json"
    monkeypatch.setattr("harness.recorded_targets.targets_path", lambda name: path)
    monkeypatch.setattr("harness.targets.targets_path", lambda name: path)
    target_records.cache_clear()
    yield path
    target_records.cache_clear()


def test_the_procedure_searches_reruns_and_takes_the_median(tmp_path, recorded, data_dir):
    options = {"algorithms": ["nesterov_cosine", "adamw_linear"], "points": 2, "seeds": 3, "horizon": 0.1}
    found = set_targets("mnist", variants=("relu",), out=tmp_path / "runs", write=True, **options)["relu"]
    runs = {}
    for folder in find_trials(tmp_path / "runs" / "mnist"):
        record, rows = read_trial(folder), read_evaluations(folder)
        runs.setdefault(record.spec.key.submission, []).append(max(rows, key=lambda row: row["validation/accuracy"]))
        assert record.spec.step_hint == 600 and record.crossing is None
    search = {k.removeprefix("search-"): v for k, v in runs.items() if k.startswith("search-")}
    assert {name: len(rows) for name, rows in search.items()} == {"nesterov_cosine_torch": 3, "adamw_linear_torch": 3}
    searched = sorted((row["validation/accuracy"] for rows in search.values() for row in rows), reverse=True)
    assert [pytest.approx(value, rel=1e-4) for value in searched] == [s["validation"] for s in found["search"]]
    assert any(s["learning_rate"] == 0.3 for s in found["search"]), "the entry's defaults are searched too"
    shortlist = {name: rows for name, rows in runs.items() if name.startswith("rerun-")}
    assert sorted(name[:8] for name in shortlist) == ["rerun-1-", "rerun-2-", "rerun-3-"]
    medians = {k: statistics.median(row["validation/accuracy"] for row in rows) for k, rows in shortlist.items()}
    best = max(medians, key=medians.get)
    assert found["algorithm"] in best, "the best median of several runs is chosen, not the luckiest run"
    reruns = shortlist[best]
    values = [row["validation/accuracy"] for row in reruns]
    assert len(set(values)) > 1 and found["validation"] == pytest.approx(statistics.median(values))
    met = [row["test/accuracy"] for row in reruns if row["validation/accuracy"] >= found["validation"]]
    assert found["test"] == pytest.approx(min(met))
    again = set_targets("mnist", variants=("relu",), out=tmp_path / "runs", **options)["relu"]
    assert again == found, "finished runs are not repeated, and give the same result"
    target = make_workload("mnist_relu").target
    assert (target.validation, target.test) == (found["validation"], found["test"])

    plan = {"variants": ("relu",), "seeds": 3, "out": tmp_path / "runs", "write": True}
    smaller = set_resampled_targets("mnist", "nested-2x3", **plan)["relu"]
    assert set(smaller) == {"0.50", "0.33"} and smaller["0.33"]["seeds"] == 3
    half = smaller["0.50"]
    assert half["validation"] == pytest.approx(min(half["rerun_validation"])), "all of the reference's runs reach it"
    fold = parse_plan("5x2cv").folds()[0]
    reduced = make_workload("mnist_relu", resampling=Resampling(fold, 0)).target
    assert reduced == Target(half["validation"], half["test"]), "the size of the training set decides, not the plan"
    assert make_workload("mnist_relu").target == target, "the benchmark's own stays"
    assert set_resampled_targets("mnist", "nested-2x3", **plan)["relu"] == smaller
    with pytest.raises(UsageError, match="mnist large_init has no targets yet; run `timetrial targets mnist`"):
        set_resampled_targets("mnist", "5x2cv", variants=("large_init",), out=tmp_path / "runs")


def test_a_given_point_is_rerun_and_not_searched(tmp_path, recorded, data_dir):
    point = {"learning_rate": 0.05, "one_minus_momentum": 0.1, "weight_decay": 0.0, "warmup_fraction": 0.1}
    point["gradient_clip"] = 1.0
    (tmp_path / "point.json").write_text(json.dumps([point]))
    options = {"algorithms": ["nesterov_cosine"], "seeds": 3, "horizon": 0.1, "search_space": tmp_path / "point.json"}
    found = set_targets("mnist", variants=("base",), out=tmp_path / "runs", **options)["base"]
    assert (found["hyperparameters"], found["search"], len(found["rerun_validation"])) == (point, [], 3)
    assert len(list(find_trials(tmp_path / "runs" / "mnist"))) == 3
    with pytest.raises(UsageError, match="nothing to run: --search-space replaces their defaults; give --points 1"):
        set_targets("mnist", variants=("base",), out=tmp_path / "runs", **options, points=0)
    (tmp_path / "point.json").write_text('[{"learning_rate": 0.05}]')
    ((entry, completed),) = _candidates(["nesterov_cosine"], "torch", 1, 0, tmp_path / "point.json")
    assert completed == {**default_point(entry), "learning_rate": 0.05}, "the record says all that the runs were given"


def test_targets_of_another_direction_are_refused(recorded, monkeypatch):
    data = {
        "metric": {"name": "accuracy", "direction": "maximize"},
        "variants": {"base": {"validation": 0.9, "test": 0.8}},
    }
    recorded.write_text(json.dumps(data))
    assert make_workload("mnist").target.validation == 0.9
    monkeypatch.setattr(workload_class("mnist"), "metric", Metric("accuracy", "minimize"))
    with pytest.raises(WorkloadError, match=r"metric\.direction: the targets were set for 'maximize'.*'minimize'"):
        _ = make_workload("mnist").target


def test_a_damaged_targets_file_is_named(recorded):
    recorded.write_text('{"variants":\n {')
    with pytest.raises(WorkloadError, match=r"targets\.json:2: not JSON"):
        _ = make_workload("mnist").target


@pytest.mark.parametrize("name", workload_names())
def test_every_workload_and_variant_has_a_committed_target(name):
    recorded = json.loads(targets_path(name).read_text())
    assert recorded["workload_version"] == workload_class(name).version
    for variant in ("base", *workload_class(name).variants):
        entry = recorded["variants"][variant]
        assert entry["validation"] == pytest.approx(statistics.median(entry["rerun_validation"]), rel=1e-3)
        assert entry["seeds"] == len(entry["rerun_validation"])
