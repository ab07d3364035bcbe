"""The tables about the mini workloads, from runs that are recorded and from runs by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from benchmarks import mini_workloads as tables
from harness.spec import Metric
from results.record import Crossing, StopReason


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run past the target, with its folder: it starts once and is then read from the folder."""
    out = tmp_path_factory.mktemp("runs")
    case = dataclasses.replace(tables.around(tables.of_the_target("mnist"))[2], seeds=1)
    assert case.past_target

    def again():
        (found,) = tables.measure("mnist", case, "torch", out, max_steps=250)
        return found

    return again


def test_a_run_past_the_target_ends_with_the_training_split_and_is_not_repeated(run):
    first, second = run(), run()
    assert first.record.started_at == second.record.started_at
    assert first.record.steps == 250 and first.record.stop_reason is StopReason.STEP_LIMIT
    assert 0.5 < first.last("eval_train/accuracy") <= 1
    assert first.last("eval_train/accuracy") != first.last("validation/accuracy")
    assert first.best(Metric("accuracy", "maximize")) == max(row["validation/accuracy"] for row in first.rows)


def test_a_submission_that_is_done_right_after_an_evaluation_is_measured_on_the_training_split_too(
    tmp_path, write_entry
):
    begin = "optimizer.zero_grad(set_to_none=True)"
    stop = "if global_step == 250: raise spec.TrainingCompleteError('annealed')"
    entry = write_entry("adam", replace={begin: f"{stop}\n    {begin}"})
    case = tables.Case("past target", str(entry), {"learning_rate": 1e-3}, past_target=True)
    (found,) = tables.measure("mnist", case, "torch", tmp_path, max_steps=500)
    assert (found.record.stop_reason, found.record.steps) == (StopReason.TRAINING_COMPLETE, 250)
    assert found.last("global_step") == 250
    assert 0.5 < found.last("eval_train/accuracy") <= 1 and 0.5 < found.last("validation/accuracy") <= 1


@pytest.fixture
def ended(run):
    """The run as if it had met the target after so many CPU seconds and steps, or missed it (None)."""

    def make(crossed, **changes):
        crossing = Crossing(wall=9.0, cpu=crossed[0], steps=crossed[1]) if crossed else None
        return dataclasses.replace(run(), record=dataclasses.replace(run().record, crossing=crossing, **changes))

    return make


def test_reached_says_the_median_time_or_who_missed(ended):
    metric = Metric("accuracy", "maximize")
    hits = [ended((3.0, 500)), ended((1.0, 300)), ended((2.0, 400))]
    assert tables.reached(hits, metric) == "2 s (400)"
    assert tables.spread(hits) == "67%"
    best = f"{hits[0].best(metric):.4g}"
    assert tables.reached([ended(None)], metric) == f"misses ({best})"
    assert tables.reached([*hits[:2], ended(None)], metric) == f"1 of 3 miss ({best})"
    assert tables.spread([*hits[:2], ended(None)]) == "-"
    crashed = ended(None, stop_reason=StopReason.CRASHED)
    assert tables.reached([crashed], metric) == "failed (crashed)"
    assert math.isnan(dataclasses.replace(crashed, rows=[]).last("validation/accuracy")), "it ended before it began"


def test_the_tables_have_a_row_per_workload_and_the_shares_add_up(ended):
    segments = {"data_selection": 1.0, "compile": 1.0, "step": 20.0, "prepare_for_eval": 0.0, "evaluate": 2.0}
    hit = ended((2.0, 200), segments=segments, peak_memory_bytes=300 * 2**20)
    of = tables.measure_all("mnist", lambda case: [hit] * case.seeds)
    quality, cost = (table({"mnist": of}).splitlines() for table in (tables.quality_table, tables.cost_table))
    for lines in (quality, cost):
        assert len({line.count("|") for line in lines}) == 1 and len(lines) == 3
        assert lines[2].startswith("| mnist |")
    assert "| 5.0% | 8% | 300 MB |" in cost[2]
    assert f"| 2 s (200) | 0% | {'2 s (200) | ' * 5}" in quality[2]


def test_the_reference_is_that_of_the_targets_and_its_rate_is_moved_both_ways():
    reference = tables.of_the_target("criteo1tb")
    small, large, past = tables.around(reference)
    rates = [case.point["learning_rate"] for case in (small, reference, large)]
    assert math.isclose(rates[1] / rates[0], 30) and math.isclose(rates[2] / rates[1], 30)
    assert past.point == reference.point and reference.seeds == 3


@pytest.mark.parametrize("own", [[90, 90, None], [90, 90, 115]], ids=["misses", "differs"])
def test_a_reference_that_is_not_sure_gives_way_to_the_surest_standard_entry(ended, own):
    slow, fast, unreliable = tables.STANDARD_ALGORITHMS
    steps = {slow: [400, 420, 440], fast: [480, 490, 500], unreliable: [100, None, 100], "reference": own}
    asked = []

    def run(case):
        asked.append(case)
        chosen = steps.get(case.name, [600])[: case.seeds]
        return [ended((float(n), n) if n else None) for n in chosen]

    found = tables.measure_all("mnist", run)
    assert [runs.record.crossing.steps for runs in found["reference"]] == [480, 490, 500]
    assert {case.entry for case in asked if case.name.startswith("too")} == {fast}
    steps[slow] = steps[fast] = [None]
    kept = [
        runs.record.crossing and runs.record.crossing.steps for runs in tables.measure_all("mnist", run)["reference"]
    ]
    assert kept == own
