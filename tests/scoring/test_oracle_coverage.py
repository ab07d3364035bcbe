"""Every known answer is used: each case by its name, each expected field by its name, and the rarer fields here."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import scoring.statistics as st
from scoring.profile import Layout, exact_credits, performance_ratios, profile
from scoring.ranktests import studentized_range_quantile

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


@pytest.fixture(scope="module")
def words():
    """Strings in the tests of scoring."""
    sources = (path.read_text() for path in Path(__file__).parent.rglob("*.py"))
    return {word for source in sources for word in re.findall(r'"([A-Za-z0-9_]+)"', source)}


def test_every_case_is_claimed_by_a_test(oracles, words):
    assert not set(oracles) - words


def test_every_expected_field_is_claimed_by_a_test(oracles, words):
    data = {"error"}  # a class of error, which tests expect by name
    fields = {(name, field) for name, case in oracles.items() for field in case["expected"]}
    by_method = ("holdout_ci", "multiplicity", "wilcoxon_zeros_ties", "prop_diff")  # whose tests loop over all fields
    assert not {(name, field) for name, field in fields if field not in words | data and not name.startswith(by_method)}


def matrix(times, workloads):
    """Times ``(submissions, workloads)``, NaN where there are none."""
    return np.array([[row.get(name, math.nan) for name in workloads] for row in times.values()], dtype=float)


def layout_of(inputs):
    base, held_out = tuple(inputs["base_workloads"]), tuple(inputs["held_out_workloads"])
    owners = tuple(
        max((i for i, name in enumerate(base) if variant.startswith(name)), key=lambda i: len(base[i]))
        for variant in held_out
    )
    return Layout(base, held_out, owners)


@pytest.mark.parametrize("name", OFFICIAL)
def test_profiles_at_1_2_and_4(oracles, name):
    case = oracles[name]
    layout, expected = layout_of(case["inputs"]), case["expected"]["official_rho"]
    times = case["expected"]["official_time_to_target"]
    ratios = performance_ratios(matrix(times, layout.workloads), layout)
    for row, submission in zip(ratios, times, strict=True):
        for tau, share in expected[submission].items():
            assert profile(row[None], np.array([float(tau)]))[0, 0] == pytest.approx(share)


def test_ratios_and_scores_of_the_published_table(oracles):
    case = oracles["v05_external"]
    layout, expected = layout_of(case["inputs"]), case["expected"]
    times = case["inputs"]["time_to_target"]
    values = matrix(times, layout.workloads)
    ratios = performance_ratios(values, layout)
    assert ratios == pytest.approx(matrix(expected["ratios"], layout.base), rel=1e-9)
    scores = dict(zip(times, exact_credits(ratios).mean(axis=1), strict=True))
    assert scores == pytest.approx(expected["exact_score"], abs=1e-9)
    for i, workload in enumerate(layout.base):
        rest, columns = layout.without(i)
        left = exact_credits(performance_ratios(values[:, columns], rest)).mean(axis=1)
        assert dict(zip(times, left, strict=True)) == pytest.approx(
            expected["exact_leave_one_workload_out"][workload], abs=1e-9
        )


def test_the_exact_score_as_a_restricted_mean(oracles):
    case = oracles["profile_exact_identity"]
    credit = exact_credits(np.array(case["inputs"]["ratios"])).mean()
    assert 4 - 3 * credit == pytest.approx(case["expected"]["mean_restricted_ratio"], abs=1e-12)


@pytest.mark.parametrize("name", ["prop_diff_840_1000_860_1000", "prop_diff_90_120_70_110"])
def test_lower_tail_of_a_difference_of_proportions(oracles, name):
    case = oracles[name]
    z = st.difference_of_proportions(**case["inputs"], pooled=False).statistic
    assert stats.norm.cdf(z) == pytest.approx(case["expected"]["p_lower_tail_unpooled"], abs=case["tolerance"])


@pytest.mark.parametrize("name", ["cochran_kuncheva", "cochran_two_models"])
def test_looney_f_with_the_articles_degrees_of_freedom(oracles, name):
    case = oracles[name]
    right = np.array([row for row, count in case["inputs"]["pattern_counts"] for _ in range(int(count))])
    n, m = right.shape
    found, expected = st.looney_f(right), case["expected"]
    assert stats.f.sf(found.statistic, m - 1, (m - 1) * n) == pytest.approx(expected["F_p_mlxtend"], abs=1e-9)
    assert found.p == pytest.approx(expected["F_p_textbook"], abs=1e-9)
    assert st.cochran_q(right).df == (expected["Q_df"],)


def test_nemenyi_quantile(oracles):
    expected = oracles["friedman_nemenyi_8x4"]["expected"]
    assert studentized_range_quantile(0.95, 4) / math.sqrt(2) == pytest.approx(expected["nemenyi_q"], abs=1e-7)


def test_corrections_of_the_bca_interval(oracles):
    case = oracles["bootstrap_percentile_bca"]
    given, expected = case["inputs"], case["expected"]
    z0, acceleration = st.bca_correction(given["data"], np.mean, given["replicates"])
    assert (z0, acceleration) == pytest.approx((expected["bias_correction_z0"], expected["acceleration"]), abs=1e-9)
    assert np.std(given["replicates"], ddof=1) == pytest.approx(expected["se"], abs=1e-9)
    with pytest.raises(ValueError, match="outside of all replicates"):
        st.bca_correction([1.0, 2.0], np.mean, [3.0, 4.0])


def test_log_rank_statistic_is_the_square_of_z(oracles):
    case = oracles["logrank"]
    z = case["expected"]["scipy_signed_z"]
    assert st.log_rank(**case["inputs"]).statistic == pytest.approx(z**2, abs=case["tolerance"])


def test_the_best_without_nesting_beats_the_nested_estimate(oracles):
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.neighbors import KNeighborsClassifier

    expected = oracles["nested_cv_end_to_end"]["expected"]
    X, y = load_breast_cancer(return_X_y=True)
    outer = StratifiedKFold(5, shuffle=True, random_state=0)
    best = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 5, 15]}, cv=outer).fit(X, y).best_score_
    assert best == pytest.approx(expected["non_nested_best"], abs=1e-8)
    assert best > expected["mean"]


def test_aggregates_beside_the_interquartile_mean(oracles):
    case = oracles["rliable_aggregates"]
    scores, expected = np.array(case["inputs"]["scores"]), case["expected"]
    # a score profile is a performance profile of the shortfalls: the share above a threshold
    above = 1 - profile(scores.reshape(1, -1), np.array(case["inputs"]["thresholds"]))[0]
    assert above == pytest.approx(expected["score_profile"])
    assert st.optimality_gap(scores) == pytest.approx(1 - expected["mean"])  # no score is above the goal
    assert np.median(scores.mean(axis=0)) == pytest.approx(expected["median"])
