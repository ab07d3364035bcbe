"""The rules against AlgoPerf's own code (through the oracle file) and closed forms."""

import math

import numpy as np
import pytest

from results.evaluations import Goal
from results.synthetic import write_logs
from scoring import api
from scoring.profile import Layout, exact_credits, official_credits, performance_ratios, profile

INF = math.inf
OFFICIAL = (
    "official_basic_two",
    "official_inf_median",
    "official_even_median",
    "official_ties",
    "official_single",
    "official_missing_workload",
    "official_variant_missed",
    "official_variant_base_missed",
    "official_nan_metric",
    "official_random_4x4",
)


def benchmark_file(folder, inputs):
    """The oracle's benchmark as a file of ours."""
    base, held_out = inputs["base_workloads"], inputs["held_out_workloads"]
    goal = f"metric: {inputs['metric']}, direction: maximize, target: {inputs['target']}"
    lines = [
        'version: "oracle"',
        "rulesets: {external: {studies: 3, trials: 1}}",
        f"base_workloads: {base}",
        f"held_out_workloads: {held_out}",
        "workloads:",
        *(f"  {name}: {{{goal}}}" for name in base),
        *(f"  {name}: {{{goal}, base: {name[0]}}}" for name in held_out),
    ]
    path = folder / "oracle.yaml"
    path.write_text("\n".join(lines))
    return path


def oracle_logs(folder, inputs):
    """The oracle's times as log folders: each time is the second of two evaluations."""
    goal = Goal(inputs["metric"], "maximize", inputs["target"], 1000.0)

    def outcome(trial):
        if isinstance(trial, dict):
            return list(zip(trial["time"], trial["acc"], strict=True))
        return trial

    outcomes = {
        submission: {
            workload: [[outcome(trial) for trial in study] for study in studies]
            for workload, studies in workloads.items()
            if studies
        }
        for submission, workloads in inputs["times"].items()
    }
    goals = {workload: goal for workloads in inputs["times"].values() for workload in workloads}
    return write_logs(folder, outcomes, goals)


@pytest.mark.parametrize("case", OFFICIAL)
def test_scores_agree_with_algoperfs_code(oracles, tmp_path, case):
    inputs, expected = oracles[case]["inputs"], oracles[case]["expected"]
    logs, benchmark = oracle_logs(tmp_path / "logs", inputs), benchmark_file(tmp_path, inputs)
    official = api.score([logs], benchmark=benchmark, rules="official", draws=0).to_json()
    exact = api.score([logs], benchmark=benchmark, rules="exact", draws=0).to_json()
    assert official["scores"] == pytest.approx(expected["official_score_trapezoid_100"], abs=1e-9)
    for submission, times in expected["official_time_to_target"].items():
        for workload, time in times.items():
            mine = official["time_to_target"][submission][workload]
            assert (mine is None and not math.isfinite(time)) or mine == pytest.approx(time)
    if "exact_score_earliest_time" in expected:
        assert exact["scores"] == pytest.approx(expected["exact_score_earliest_time"], abs=1e-9)


def test_exact_score_is_a_restricted_mean(oracles):
    case = oracles["profile_exact_identity"]
    ratios = np.array([case["inputs"]["ratios"]])
    assert exact_credits(ratios).mean() == pytest.approx(case["expected"]["score"], abs=1e-12)
    assert official_credits(ratios).mean() == pytest.approx(case["expected"]["score_trapezoid_100"], abs=1e-12)


def test_official_credit_is_the_trapezoid_rule_on_the_profile():
    ratios = 1 + 4 * np.random.RandomState(0).random_sample((20, 6))
    ratios[:, 0], ratios[0, 1], ratios[1] = 1.0, 4.0, INF
    taus = np.linspace(1.0, 4.0, 100)
    assert official_credits(ratios).mean(axis=1) == pytest.approx(
        np.trapezoid(profile(ratios, taus), taus, axis=1) / 3.0, abs=1e-12
    )


def test_four_times_the_fastest_still_counts_and_beyond_does_not():
    layout = Layout(("w",))
    ratios = performance_ratios(np.array([[1.0], [4.0], [4.0001]]), layout)
    assert ratios[:, 0].tolist() == [1.0, 4.0, INF]


def test_a_variant_beyond_the_cut_costs_the_base_its_credit_and_moves_the_normaliser():
    layout = Layout(("u",), ("u_x",), (0,))
    ratios = performance_ratios(np.array([[10.0, 50.0], [15.0, 10.0], [30.0, 40.0]]), layout)
    assert ratios[:, 0].tolist() == [INF, 1.0, 2.0]


def test_the_variants_best_time_counts_only_where_the_base_was_reached():
    layout = Layout(("u",), ("u_x",), (0,))
    ratios = performance_ratios(np.array([[INF, 5.0], [15.0, 24.0]]), layout)
    assert ratios[:, 0].tolist() == [INF, 1.0]
    ratios = performance_ratios(np.array([[10.0, 5.0], [15.0, 24.0]]), layout)
    assert ratios[:, 0].tolist() == [1.0, INF]


def test_no_data_is_a_miss():
    ratios = performance_ratios(np.array([[np.nan, 1.0], [2.0, np.nan]]), Layout(("u", "v")))
    assert ratios.tolist() == [[INF, 1.0], [1.0, INF]]


def test_all_missed_earns_nothing():
    ratios = performance_ratios(np.full((3, 2), INF), Layout(("u", "v")))
    assert exact_credits(ratios).max() == 0 and official_credits(ratios).max() == 0
