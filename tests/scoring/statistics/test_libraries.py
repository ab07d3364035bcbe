"""Agreement with mlxtend, statsmodels and scikit-posthocs where they are right, on random inputs."""

import gc
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

import scoring.statistics as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import scikit_posthocs
    from mlxtend import evaluate as mlxtend
    from statsmodels.duration.survfunc import SurvfuncRight, survdiff
    from statsmodels.stats import contingency_tables, multitest, power, proportion
    from statsmodels.stats.anova import AnovaRM
    from statsmodels.stats.weightstats import DescrStatsW

FEW = settings(max_examples=30)
SCORES = some.floats(-1, 1).map(lambda x: round(x, 3))
FIVE_BY_TWO = arrays(float, (5, 2), elements=SCORES)
RIGHT = arrays(int, some.tuples(some.integers(4, 20), some.integers(2, 5)), elements=some.integers(0, 1))
TABLES = some.tuples(*[some.integers(0, 60)] * 4).map(lambda cells: np.reshape(cells, (2, 2)))
COUNTS = some.integers(1, 200).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n)))


@given(TABLES)
def test_mcnemar(table):
    assume(table[0, 1] + table[1, 0] > 0)
    exact, plain = st.mcnemar(table), st.mcnemar(table, "uncorrected")
    assert exact.p == pytest.approx(mlxtend.mcnemar(table, exact=True)[1])
    assert (plain.statistic, plain.p) == pytest.approx(mlxtend.mcnemar(table, corrected=False))
    for ours, options in ((exact, {"exact": True}), (plain, {"exact": False, "correction": False})):
        theirs = contingency_tables.mcnemar(table, **options)
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    if table[0, 1] != table[1, 0]:  # without the clamp theirs are wrong at equality: see the defects
        corrected, theirs = st.mcnemar(table, "corrected"), contingency_tables.mcnemar(table, exact=False)
        assert (corrected.statistic, corrected.p) == pytest.approx((theirs.statistic, theirs.pvalue))
        assert (corrected.statistic, corrected.p) == pytest.approx(mlxtend.mcnemar(table))


@given(RIGHT)
def test_cochran_and_looney(right):
    q, f = st.cochran_q(right), st.looney_f(right)
    assume(not q.degenerate and not f.degenerate)
    answers = [np.ones(len(right), dtype=int), *right.T]
    theirs = contingency_tables.cochrans_q(right)
    assert (q.statistic, q.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)
    assert (q.statistic, q.p) == pytest.approx(mlxtend.cochrans_q(*answers), abs=1e-12)
    assert f.statistic == pytest.approx(mlxtend.ftest(*answers)[0], abs=1e-9)


def test_looney_is_the_analysis_of_variance():
    right = (np.random.RandomState(3).random_sample((40, 4)) < [0.5, 0.6, 0.7, 0.9]).astype(int)
    example, model = np.indices(right.shape)
    long = pd.DataFrame({"example": example.ravel(), "model": model.ravel(), "right": right.ravel()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = AnovaRM(long, "right", "example", within=["model"]).fit().anova_table
    found = st.looney_f(right)
    assert found.df == tuple(table[["Num DF", "Den DF"]].iloc[0])
    assert (found.statistic, found.p) == pytest.approx(tuple(table[["F Value", "Pr > F"]].iloc[0]))


@FEW
@given(FIVE_BY_TWO)
def test_five_by_two_cv(scripted, d):
    f, t = st.five_by_two_cv_f(d), st.five_by_two_cv_t(d)
    assume(not f.degenerate)
    assert (f.statistic, f.p) == pytest.approx(scripted(mlxtend.combined_ftest_5x2cv, d.ravel())[0])
    assert (t.statistic, t.p) == pytest.approx(scripted(mlxtend.paired_ttest_5x2cv, d.ravel())[0])


@FEW
@given(arrays(float, 8, elements=SCORES))
def test_paired_t(scripted, d):
    found = st.k_fold_paired_t(d)
    assume(not found.degenerate)
    expected = pytest.approx((found.statistic, found.p))
    assert scripted(mlxtend.paired_ttest_kfold_cv, d, cv=d.size)[0] == expected
    assert scripted(mlxtend.paired_ttest_resampled, d, num_rounds=d.size)[0] == expected
    resampled = st.resampled_paired_t(d)
    assert (resampled.statistic, resampled.p) == (found.statistic, found.p)
    interval = DescrStatsW(d).tconfint_mean()
    assert st.fold_summary(d).interval == pytest.approx(interval)


@given(COUNTS, some.sampled_from([0.01, 0.05, 0.32]))
def test_proportion_intervals(counts, alpha):
    names = {
        "wald": "normal",
        "wilson": "wilson",
        "clopper-pearson": "beta",
        "agresti-coull": "agresti_coull",
        "jeffreys": "jeffreys",
    }
    for ours, theirs in names.items():
        found = st.proportion_interval(*counts, alpha, ours)
        expected = np.clip(proportion.proportion_confint(*counts, alpha=alpha, method=theirs), 0, 1)
        assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)


@given(COUNTS, COUNTS)
def test_difference_of_proportions(first, second):
    (x1, n1), (x2, n2) = first, second
    assume(0 < x1 < n1 and 0 < x2 < n2)
    pooled = st.difference_of_proportions(x1, n1, x2, n2)
    assert (pooled.statistic, pooled.p) == pytest.approx(proportion.proportions_ztest([x1, x2], [n1, n2]), abs=1e-9)
    unpooled = st.difference_of_proportions(x1, n1, x2, n2, pooled=False)
    theirs = proportion.test_proportions_2indep(x1, n1, x2, n2, method="wald", correction=False)
    assert (unpooled.statistic, unpooled.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    assert st.cohens_h(x1 / n1, x2 / n2) == pytest.approx(proportion.proportion_effectsize(x1 / n1, x2 / n2))


@pytest.fixture(scope="module")
def nothing_to_collect():
    """The library collects garbage at every call, all of torch and jax included where they are loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


@FEW
@given(some.lists(some.floats(1e-9, 0.999), min_size=1, max_size=12))  # at 1 the library warns of log 0
def test_adjustments(nothing_to_collect, p):
    names = {
        "bonferroni": "bonferroni",
        "sidak": "sidak",
        "holm": "holm",
        "holm-sidak": "holm-sidak",
        "hochberg": "simes-hochberg",
        "hommel": "hommel",
        "bh": "fdr_bh",
        "by": "fdr_by",
    }
    for ours, theirs in names.items():
        assert st.adjust(p, ours) == pytest.approx(multitest.multipletests(p, method=theirs)[1], abs=1e-12)


RUN = some.tuples(some.integers(1, 9), some.booleans(), some.integers(0, 1), some.sampled_from("uvw"))


@given(some.lists(RUN, min_size=4, max_size=30))
def test_stratified_log_rank(runs):
    time, reached, group, workload = (np.array(column) for column in zip(*runs, strict=True))
    assume(len(set(group)) == 2)
    for strata in (np.full(len(runs), "u"), workload):
        found = st.stratified_log_rank(time, reached, group, strata)
        if found.degenerate:
            continue
        # a stratum without both groups tells nothing, but is an error to the library
        both = np.isin(strata, [s for s in set(strata) if len(set(group[strata == s])) == 2])
        columns = [column[both] for column in (time, reached.astype(int), group)]
        theirs = survdiff(*columns, strata=strata[both])
        assert (found.statistic, found.p) == pytest.approx(tuple(map(float, theirs)), abs=1e-9)


@given(some.lists(some.tuples(some.integers(1, 9), some.booleans()), min_size=1, max_size=12))
def test_kaplan_meier(runs):
    time, reached = (np.array(column) for column in zip(*runs, strict=True))
    assume(reached.any())
    theirs, ours = SurvfuncRight(time, reached.astype(int)), st.kaplan_meier(time, reached)
    assert ours.times.tolist() == theirs.surv_times.tolist()
    assert ours.survival == pytest.approx(theirs.surv_prob, abs=1e-12)


@FEW
@given(arrays(int, some.tuples(some.integers(3, 9), some.integers(3, 6)), elements=some.integers(0, 30)))
def test_nemenyi(values):
    found = st.friedman(values.astype(float))
    assume(not found.degenerate)
    theirs = scikit_posthocs.posthoc_nemenyi_friedman(values)
    assert found.nemenyi_p == pytest.approx(theirs.to_numpy(), abs=1e-6)


@FEW
@given(some.floats(0.05, 3), some.integers(2, 60), some.floats(0.01, 0.2))
def test_power(dz, n, alpha):
    ours, theirs = st.paired_t_power(dz, n, alpha), power.TTestPower().power(dz, n, alpha)
    assert math.isfinite(ours)
    if math.isfinite(theirs):  # see the defects
        assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize(("dz", "p1", "p2"), [(0.3, 0.84, 0.86), (0.8, 0.5, 0.6), (1.5, 0.9, 0.99)])
def test_sample_sizes(dz, p1, p2):
    needed = power.TTestPower().solve_power(effect_size=dz, power=0.8, alpha=0.05)
    assert st.paired_t_sample_size(dz) == pytest.approx(float(np.squeeze(needed)), rel=1e-6)
    effect = proportion.proportion_effectsize(p1, p2)
    per_arm = power.NormalIndPower().solve_power(effect_size=abs(effect), power=0.8, alpha=0.05)
    assert st.two_proportion_sample_size(p1, p2) == pytest.approx(float(np.squeeze(per_arm)), rel=1e-6)


def test_bootstrap_632():
    """The .632 rule is linear, so that the library's mean over rounds is the rule at the mean errors."""
    from sklearn.datasets import load_iris
    from sklearn.naive_bayes import GaussianNB

    X, y = load_iris(return_X_y=True)
    rounds = mlxtend.BootstrapOutOfBag(n_splits=20, random_seed=1)
    errors = []
    for train, test in rounds.split(X):
        model = GaussianNB().fit(X[train], y[train])
        errors.append((1 - model.score(X, y), 1 - model.score(X[test], y[test])))
    resubstitution, oob = np.mean(errors, axis=0)
    options = {"n_splits": 20, "random_seed": 1}
    theirs = mlxtend.bootstrap_point632_score(GaussianNB(), X, y, method=".632", **options)
    assert 1 - theirs.mean() == pytest.approx(st.bootstrap_632(resubstitution, oob))
    rates = mlxtend.bootstrap_point632_score(GaussianNB(), X, y, method="oob", **options)
    found = st.out_of_bag_interval(rates, n=len(y))
    assert found.value == pytest.approx(1 - oob) and math.isfinite(found.low)
