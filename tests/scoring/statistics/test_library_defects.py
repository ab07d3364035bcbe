"""What other libraries get wrong, so that one which is mended is noticed, and what ours answers instead."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

import scoring.statistics as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlxtend import evaluate as mlxtend
    from statsmodels.duration.survfunc import survdiff
    from statsmodels.stats import contingency_tables


@pytest.fixture(autouse=True)
def _their_warnings_are_contained():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_corrected_mcnemar_of_models_that_never_disagree_has_p_zero():
    table = np.array([[50, 0], [0, 10]])
    assert mlxtend.mcnemar(table)[1] == 0
    assert contingency_tables.mcnemar(table, exact=False).pvalue == 0
    assert st.mcnemar(table, "corrected").p == 1 and st.mcnemar(table, "corrected").degenerate


def test_corrected_mcnemar_of_equal_disagreements_is_not_one():
    table = np.array([[50, 4], [4, 10]])
    assert mlxtend.mcnemar(table) == pytest.approx((0.125, 0.7236736))
    assert contingency_tables.mcnemar(table, exact=False).pvalue == pytest.approx(0.7236736)
    assert (st.mcnemar(table, "corrected").statistic, st.mcnemar(table, "corrected").p) == (0, 1)


def test_proportion_difference_gives_the_lower_tail_and_the_unpooled_variance():
    z, p = mlxtend.proportion_difference(0.84, 0.86, 1000)
    assert p == pytest.approx(stats.norm.cdf(z)) and p == pytest.approx(0.105, abs=1e-3)
    assert mlxtend.proportion_difference(0.84, 0.84, 1000)[1] == 0.5
    unpooled = st.difference_of_proportions(840, 1000, 860, 1000, pooled=False)
    assert unpooled.statistic == pytest.approx(z) and unpooled.p == pytest.approx(2 * p)
    assert st.difference_of_proportions(840, 1000, 860, 1000).statistic != pytest.approx(z, rel=1e-6)


def test_ftest_takes_too_many_degrees_of_freedom():
    right = (np.random.RandomState(0).random_sample((30, 3)) < [0.5, 0.7, 0.8]).astype(int)
    f, p = mlxtend.ftest(np.ones(30, dtype=int), *right.T)
    assert p == pytest.approx(stats.f.sf(f, 2, 2 * 30))
    ours = st.looney_f(right)
    assert ours.p == pytest.approx(stats.f.sf(f, 2, 2 * 29)) and ours.p > p


def test_combined_f_of_zero_differences_crashes_or_is_nan(scripted):
    with pytest.raises(ZeroDivisionError):
        scripted(mlxtend.combined_ftest_5x2cv, [0.0] * 10)
    (f, p), _ = scripted(mlxtend.combined_ftest_5x2cv, list(np.zeros(10)))
    assert math.isnan(f) and math.isnan(p)
    ours = st.five_by_two_cv_f(np.zeros((5, 2)))
    assert ours.p == 1 and ours.degenerate


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_combined_f_is_silent_about_nan_and_infinity(scripted, bad):
    (f, p), _ = scripted(mlxtend.combined_ftest_5x2cv, [bad, *range(9)])
    assert math.isnan(f) and math.isnan(p)
    with pytest.raises(ValueError, match="replication 1, half 1"):
        st.five_by_two_cv_f(np.reshape([bad, *range(9)], (5, 2)))


def test_combined_f_refits_the_callers_estimator_on_splits_that_are_not_stratified(scripted):
    _, estimator = scripted(mlxtend.combined_ftest_5x2cv, list(range(10)), random_seed=0)
    assert len(estimator.shares) == 10
    assert set(estimator.shares) != {0.5}


def test_632_plus_does_not_clip_the_overfitting_rate():
    """Noise labels: a memoriser's out-of-bag error goes beyond the no-information rate, and R beyond 1."""
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((24, 2)), np.arange(24) % 2
    model, options = KNeighborsClassifier(1), {"n_splits": 40, "random_seed": 3}
    oob = 1 - mlxtend.bootstrap_point632_score(model, X, y, method="oob", **options)
    plus = 1 - mlxtend.bootstrap_point632_score(model, X, y, method=".632+", **options)
    assert (plus > 0.5).any() and (plus > oob + 1e-9).any()  # a weight above 1
    assert all(st.bootstrap_632_plus(0.0, error, 0.5).error_632_plus <= 0.5 for error in oob)


def test_omnibus_tests_of_models_that_agree_are_nan():
    right = np.tile([[1], [1], [0]], (1, 3))
    answers = [np.ones(3, dtype=int), *right.T]
    assert np.isnan(mlxtend.cochrans_q(*answers)).all() and np.isnan(mlxtend.ftest(*answers)).all()
    assert np.isnan(contingency_tables.cochrans_q(right).pvalue)
    for ours in (st.cochran_q(right), st.looney_f(right)):
        assert ours.p == 1 and ours.degenerate


def test_friedman_of_constants_is_nan():
    assert math.isnan(stats.friedmanchisquare([1, 1, 1], [1, 1, 1], [1, 1, 1]).pvalue)
    assert st.friedman(np.ones((3, 3))).p == 1 and st.friedman(np.ones((3, 3))).degenerate


def test_log_rank_of_censored_runs_is_nan_or_crashes():
    censored = stats.CensoredData(right=[3, 3])
    assert math.isnan(stats.logrank(censored, censored).pvalue)
    with pytest.raises(np.linalg.LinAlgError):
        survdiff(np.array([3, 3, 3, 3]), np.zeros(4), np.array([0, 0, 1, 1]))
    assert st.log_rank([3, 3], [0, 0], [3, 3], [0, 0]).p == 1


def test_bca_of_constants_is_nan():
    found = stats.bootstrap((np.ones(5),), np.mean, method="BCa", n_resamples=20).confidence_interval
    assert math.isnan(found.low) and math.isnan(found.high)
    ours = st.bootstrap_interval(np.ones(5), np.mean, method="bca", draws=20)
    assert (ours.low, ours.high, ours.degenerate) == (1, 1, True)


def test_the_lower_tail_of_the_noncentral_t_is_nan_where_it_is_small():
    from statsmodels.stats.power import TTestPower

    critical = stats.t.isf(0.03125, 22)
    assert math.isnan(stats.nct.cdf(-critical, 22, 2 * math.sqrt(23)))
    assert math.isnan(TTestPower().power(2.0, 23, 0.0625))
    assert st.paired_t_power(2.0, 23, 0.0625) == pytest.approx(1.0)


def test_zero_rules_of_the_signed_rank_test_disagree_so_that_ours_names_the_rule():
    d = [0.0, 0.3, -0.1, 0.4, 0.1, -0.2, 0.5, 0.0]
    found = {rule: st.wilcoxon(d, rule, exact=False) for rule in ("wilcox", "pratt", "zsplit")}
    for rule, ours in found.items():
        theirs = stats.wilcoxon(d, zero_method=rule, correction=False, method="approx")
        assert ours.p == pytest.approx(theirs.pvalue) and rule in ours.method
    assert len({round(ours.p, 3) for ours in found.values()}) == 3
