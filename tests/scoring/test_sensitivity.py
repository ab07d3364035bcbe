import math

import numpy as np
import pytest

from results.synthetic import write_runs
from scoring import api
from scoring.ranktests import friedman, studentized_range_cdf

INF = math.inf


def test_leave_one_out(tmp_path):
    outcomes = {
        "A": {"u": [[10.0]], "v": [[30.0]], "w": [[10.0]]},
        "B": {"u": [[20.0]], "v": [[10.0]], "w": [[15.0]]},
        "C": {"u": [[40.0]], "v": [[9.0]], "w": [[30.0]]},
    }
    board = api.score([write_runs(tmp_path, outcomes)])
    without = board.sensitivity.without_workload["v"]
    kept = {name: {w: cells[w] for w in "uw"} for name, cells in outcomes.items()}
    assert without == api.score([write_runs(tmp_path / "uw", kept)]).to_json()["scores"]
    pair = {name: outcomes[name] for name in "AB"}
    expected = api.score([write_runs(tmp_path / "AB", pair)]).to_json()["scores"]
    assert board.sensitivity.without_submission["C"] == pytest.approx(expected)
    found = board.sensitivity.extremes("A")["workload"]
    assert found.lowest <= board.entries[0].score <= found.highest and found.highest_without == "v"


def test_a_base_workload_is_left_out_with_its_variants(tmp_path):
    write_runs(tmp_path, {"A": {"u": [[1.0]], "v": [[1.0]]}, "B": {"u": [[2.0]], "v": [[2.0]]}})
    write_runs(tmp_path, {"A": {"u_x": [[INF]]}, "B": {"u_x": [[3.0]]}}, base_workload="u", variant="x")
    without = api.score([tmp_path]).sensitivity.without_workload
    assert without["u"]["A"] == 1.0 and without["v"]["A"] == 0.0


def test_misses_right_after_the_budget_bound_the_score(tmp_path):
    outcomes = {"A": {"u": [[50.0]], "v": [[INF]]}, "B": {"u": [[INF]], "v": [[80.0]]}}
    bounds = api.score([write_runs(tmp_path, outcomes)]).sensitivity.censoring
    assert bounds["A"] == pytest.approx((0.5, (1 + (4 - 100 / 80) / 3) / 2))
    assert bounds["B"] == pytest.approx((0.5, (1 + (4 - 100 / 50) / 3) / 2))


def test_nested_selection_picks_on_the_other_studies(tmp_path):
    # trial 1 wins on two studies of three, trial 2 is the lucky one of study 3
    outcomes = {"A": {"u": [[10.0, 20.0], [11.0, 21.0], [40.0, 9.0]]}, "B": {"u": [[10.0, 99.0]] * 3}}
    board = api.score([write_runs(tmp_path, outcomes)])
    # leaving out 1: medians (25.5, 15) -> 20; leaving out 2: (25, 14.5) -> 21; leaving out 3: (10.5, 20.5) -> 40
    assert board.sensitivity.nested == pytest.approx({"A": (4 - 2.1) / 3, "B": 1.0})
    assert board.to_json()["sensitivity"]["nested_selection"]["A"]["optimism"] == pytest.approx(
        board.entries[0].score - (4 - 2.1) / 3
    )


def test_nested_selection_needs_shared_points(tmp_path):
    write_runs(tmp_path / "one", {"A": {"u": [[1.0]] * 3}})
    assert "one trial per study" in api.score([tmp_path / "one"]).sensitivity.nested_why_not
    for study in (1, 2, 3):
        part = tmp_path / f"part{study}"
        write_runs(part, {"A": {"u": [[1.0, 2.0]] * 3}}, hyperparameters={"learning_rate": float(study)})
        target = tmp_path / "all/A"
        target.mkdir(parents=True, exist_ok=True)
        (part / f"A/study_{study}").rename(target / f"study_{study}")
    why = api.score([tmp_path / "all"]).sensitivity.nested_why_not
    assert why == "studies of A on u do not share their hyperparameter points"


def test_friedman_and_nemenyi(oracles):
    case = oracles["friedman_nemenyi_8x4"]
    expected, test = case["expected"], friedman(-np.array(case["inputs"]["matrix"]))
    assert (test.chi2, test.p) == pytest.approx((expected["chi2"], expected["p"]), abs=1e-9)
    assert (test.f, test.f_p) == pytest.approx((expected["iman_davenport_F"], expected["iman_davenport_p"]), abs=1e-9)
    assert list(test.f_df) == expected["iman_davenport_df"]
    assert test.mean_ranks.tolist() == expected["mean_ranks"]
    assert test.critical_difference == pytest.approx(expected["critical_difference"], abs=1e-7)
    assert test.nemenyi_p == pytest.approx(np.array(expected["nemenyi_p"]), abs=1e-7)


def test_friedman_without_any_difference_is_degenerate(oracles):
    test = friedman(np.array(oracles["friedman_all_equal"]["inputs"]["matrix"]))
    assert (test.chi2, test.p, test.degenerate) == (0.0, 1.0, True)


def test_friedman_with_ties_agrees_with_scipy():
    from scipy import stats

    values = np.random.RandomState(0).randint(0, 3, (9, 5)).astype(float)
    values[0, :2] = INF
    expected = stats.friedmanchisquare(*np.where(np.isinf(values), 99.0, values).T)
    test = friedman(values)
    assert (test.chi2, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert studentized_range_cdf(np.array([0.5, 2.0, 5.0]), 11) == pytest.approx(
        stats.studentized_range.cdf([0.5, 2.0, 5.0], 11, np.inf), abs=1e-9
    )


@pytest.mark.parametrize("values", [np.ones((1, 3)), np.ones((3, 2)), np.full((3, 3), np.nan)])
def test_friedman_refuses_too_little(values):
    with pytest.raises(ValueError, match="needs 2 workloads and 3 submissions without NaN"):
        friedman(values)
