"""The published v0.5 external leaderboard and its uncertainty, from the official logs."""

import math

import pytest

from scoring import api


@pytest.fixture(scope="module")
def official(v05_logs):
    return api.score([v05_logs], benchmark="v0.5", ruleset="external", rules="official")


@pytest.fixture(scope="module")
def exact(v05_logs):
    return api.score([v05_logs], benchmark="v0.5", ruleset="external")


def test_published_scores_to_four_decimals(official, oracles):
    published = oracles["v05_external"]["expected"]["published"]
    assert {entry.submission: round(entry.score, 4) for entry in official.entries} == published


def test_official_times(official, oracles):
    # 0.6%: how far ties of the evaluation index move medians with the file system's order of trials
    expected = oracles["v05_external"]["inputs"]["time_to_target"]
    for submission, times in official.to_json()["time_to_target"].items():
        for workload, time in times.items():
            official = expected[submission][workload]
            assert (time is None and not math.isfinite(official)) or time == pytest.approx(official, rel=0.006)


def test_exact_scores(exact, oracles):
    expected = oracles["v05_studies_external"]["expected"]["exact_score"]
    assert exact.to_json()["scores"] == pytest.approx(expected, abs=1e-9)


def test_study_times(exact, oracles):
    expected = oracles["v05_studies_external"]["inputs"]["times_per_study"]
    for submission, workloads in expected.items():
        for workload, times in workloads.items():
            if times:
                assert exact.field.times(submission, workload).tolist() == pytest.approx(times)


@pytest.mark.parametrize("kind, tolerance", [("studies_only", 0.004), ("studies_and_workloads", 0.015)])
def test_intervals_agree_with_an_independent_bootstrap(exact, oracles, kind, tolerance):
    expected = oracles["v05_studies_external"]["expected"][kind]
    for entry in exact.entries:
        certainty = entry.studies if kind == "studies_only" else entry.hierarchical
        wanted = expected[entry.submission]
        found = (certainty.mean, certainty.sd, *certainty.interval)
        assert found == pytest.approx([wanted[name] for name in ("mean", "sd", "lo", "hi")], abs=tolerance)


def test_adjacent_probabilities(exact, oracles):
    pairs = {(pair["better"], pair["worse"]): pair["p"] for pair in exact.to_json()["pairs"]}
    for better, worse, p in oracles["v05_studies_external"]["expected"]["p_adjacent_studies_only"]:
        assert pairs[better, worse] == pytest.approx(p, abs=0.015)


def test_35_of_55_pairs_are_resolved(exact):
    assert sum(pair["resolved"] for pair in exact.to_json()["pairs"]) == 35


def test_no_winner_is_named_below_95_percent(exact):
    assert exact.verdict.startswith("Tied at the top: shampoo_submission (7")
    assert "schedule_free_adamw" in exact.verdict


def test_irregularities_are_listed(exact):
    kinds = {(odd.kind, odd.submission, odd.workload) for odd in exact.irregularities}
    assert ("missing_studies", "lawa_ema", "librispeech_deepspeech") in kinds
    assert ("no_evaluations", "caspr_adaptive", "criteo1tb") in kinds
    assert ("unscored_workload", "baseline", "criteo1tb_layernorm") in kinds


def test_leave_one_workload_out(exact, oracles, v05_logs):
    official = api.score([v05_logs], benchmark="v0.5", rules="official", draws=0)
    expected = oracles["v05_external"]["expected"]["exact_leave_one_workload_out"]
    for workload, scores in expected.items():
        assert exact.sensitivity.without_workload[workload] == pytest.approx(scores, abs=0.007)
    assert len(official.sensitivity.without_workload) == 8


def test_the_winner_hangs_on_one_workload_and_one_entry(exact):
    assert exact.sensitivity.winners == {"ogbg": "schedule_free_adamw", "caspr_adaptive": "schedule_free_adamw"}


def test_nested_selection(exact):
    nested = exact.sensitivity.nested
    measured = {"shampoo_submission": 0.6593, "schedule_free_adamw": 0.5873, "baseline": 0.5663, "lawa_ema": 0.2092}
    assert {name: round(nested[name], 4) for name in measured} == measured


def test_censoring_bounds(exact):
    bounds = exact.sensitivity.censoring
    for name, upper in (("shampoo_submission", 0.902), ("baseline", 0.693), ("caspr_adaptive", 0.704)):
        assert bounds[name][1] == pytest.approx(upper, abs=5e-4)


def test_rank_test(exact):
    test = exact.rank_test
    assert (test.chi2, test.p, test.f) == pytest.approx((23.8, 0.008, 2.96), rel=0.03)
    assert test.critical_difference == pytest.approx(5.34, abs=0.005)


def test_speedups_against_the_baseline(v05_logs):
    board = api.score([v05_logs], benchmark="v0.5", reference="baseline")
    measured = {
        "shampoo_submission": (0.721, 0.686, 0.762),
        "schedule_free_adamw": (0.734, 0.700, 0.767),
        "lawa_ema": (1.085, 1.036, 1.129),
    }
    for name, values in measured.items():
        speedup = board.anchored.entries[name].speedup
        assert (speedup.value, *speedup.studies) == pytest.approx(values, abs=0.003)
    assert board.anchored.entries["shampoo_submission"].speedup_t_interval == pytest.approx((0.550, 0.946), abs=5e-4)
    assert board.anchored.entries["baseline"].log_credit.value == pytest.approx(7 / 16)


def test_rank_intervals(exact):
    measured = {
        "shampoo_submission": ((1, 3), (1, 7)),
        "schedule_free_adamw": ((1, 5), (1, 6)),
        "generalized_adam": ((3, 7), (1, 9)),
        "cyclic_lr": ((2, 6), (2, 8)),
        "nadamp": ((1, 7), (1, 8)),
        "baseline": ((3, 8), (3, 9)),
        "amos": ((6, 8), (3, 10)),
        "caspr_adaptive": ((4, 8), (1, 10)),
        "lawa_queue": ((9, 10), (3, 10)),
        "lawa_ema": ((9, 10), (6, 10)),
        "schedule_free_prodigy": ((11, 11), (11, 11)),
    }
    for entry in exact.entries:
        studies, hierarchical = measured[entry.submission]
        assert entry.studies.rank_interval == studies
        assert entry.hierarchical.rank_interval == pytest.approx(hierarchical, abs=1)
