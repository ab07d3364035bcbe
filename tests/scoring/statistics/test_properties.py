"""Independent brute force on small inputs, and properties that hold for any input."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy import stats

import scoring.statistics as st

NUMBERS = some.floats(-1e3, 1e3).map(lambda x: round(x, 3))
FIVE_BY_TWO = arrays(float, (5, 2), elements=NUMBERS)
FOLDS = arrays(float, some.integers(2, 12), elements=NUMBERS)
COUNTS = some.integers(0, 60)
P_VALUES = some.lists(some.floats(0, 1), min_size=1, max_size=7)


def well_formed(outcome):
    assert 0 <= outcome.p <= 1
    assert outcome.degenerate or math.isfinite(outcome.statistic)
    assert outcome.note or not outcome.degenerate


def binomial_tail(n, k):
    return sum(math.comb(n, i) for i in range(k + 1)) / 2**n


@given(COUNTS, COUNTS)
def test_mcnemar_by_binomial_sums(b, c):
    table = [[3, b], [c, 5]]
    n, k = b + c, min(b, c)
    exact = min(1.0, 2 * binomial_tail(n, k))
    assert st.mcnemar(table).p == pytest.approx(exact)
    assert st.mcnemar(table, "mid-p").p == pytest.approx(min(1.0, 2 * binomial_tail(n, k) - math.comb(n, k) / 2**n))
    for method in ("exact", "mid-p", "corrected", "uncorrected"):
        outcome = st.mcnemar(table, method)
        well_formed(outcome)
        assert outcome.p == pytest.approx(st.mcnemar([[3, c], [b, 5]], method).p)
        assert outcome.degenerate == (n == 0)
    assert st.mcnemar(table, "corrected").p >= st.mcnemar(table, "uncorrected").p


@given(arrays(int, some.tuples(some.integers(2, 25), some.just(2)), elements=some.integers(0, 1)))
def test_cochran_q_of_two_models_is_mcnemar(right):
    q = st.cochran_q(right)
    chi2 = st.mcnemar(st.disagreement_table(right[:, 0], right[:, 1]), "uncorrected")
    assert (q.statistic, q.p, q.degenerate) == pytest.approx((chi2.statistic, chi2.p, chi2.degenerate))


@given(
    arrays(int, some.tuples(some.integers(2, 12), some.integers(2, 5)), elements=some.integers(0, 1)), some.randoms()
)
def test_cochran_and_looney(right, random):
    q, f = st.cochran_q(right), st.looney_f(right)
    well_formed(q)
    well_formed(f)
    order = random.sample(range(right.shape[1]), right.shape[1])
    assert st.cochran_q(right[:, order]) == q
    assert st.looney_f(right[::-1]) == f
    # the two-way layout of the repeated-measures analysis of variance, cell by cell
    n, m = right.shape
    grand = right.mean()
    between = n * ((right.mean(axis=0) - grand) ** 2).sum()
    residual = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + grand
    if not f.degenerate:
        expected = (between / (m - 1)) / ((residual**2).sum() / ((m - 1) * (n - 1)))
        assert f.statistic == pytest.approx(expected, abs=1e-9)
    assert q.degenerate == bool((right == right[:, :1]).all())


@pytest.mark.parametrize("bad", [[[1, 0], [2, 1]], [[1.0, 0.0], [math.nan, 1.0]]])
def test_answers_name_the_cell(bad):
    for test in (st.cochran_q, st.looney_f):
        with pytest.raises(ValueError, match=r"example 2, model 1 is (2|nan)"):
            test(bad)


@given(FIVE_BY_TWO, some.permutations(range(5)), arrays(bool, 5))
def test_five_by_two_f_is_free_of_order_and_sign(d, order, swap):
    f = st.five_by_two_cv_f(d)
    well_formed(f)
    well_formed(st.five_by_two_cv_t(d))
    other = d[list(order)].copy()
    other[swap] = other[swap][:, ::-1]
    for same in (other, -d, 4 * d):
        found = st.five_by_two_cv_f(same)
        assert (found.statistic, found.p) == pytest.approx((f.statistic, f.p), nan_ok=True)
    assert f.degenerate == bool((d[:, 0] == d[:, 1]).all())


def test_five_by_two_limits():
    constant = np.tile([[0.1, 0.1]], (5, 1))
    for test in (st.five_by_two_cv_f, st.five_by_two_cv_t):
        found = test(constant)
        assert (found.statistic, found.p, found.degenerate) == (math.inf, 0.0, True)
        assert "independent" in found.note
    constant[0] = 0.0
    found = st.five_by_two_cv_t(constant)
    assert math.isnan(found.statistic) and found.p == 1 and "first difference is zero" in found.note
    tiny = np.array([[1, 2], [3, 1], [2, 2], [1, 4], [2, 1]]) * 1e-200
    assert st.five_by_two_cv_f(tiny).statistic == pytest.approx(st.five_by_two_cv_f(tiny * 1e200).statistic)
    with pytest.raises(ValueError, match="5 replications x 2 halves"):
        st.five_by_two_cv_f(np.zeros((4, 2)))
    constant[3, 1] = math.nan
    with pytest.raises(ValueError, match="replication 4, half 2 is nan"):
        st.five_by_two_cv_f(constant)


@given(FOLDS)
def test_paired_t(d):
    naive, corrected = st.k_fold_paired_t(d), st.corrected_t(d, 1 / 9)
    well_formed(naive)
    well_formed(corrected)
    assert corrected.p >= naive.p
    assert st.corrected_t(-d, 1 / 9).p == corrected.p
    if not naive.degenerate:
        expected = stats.ttest_1samp(d, 0)
        assert (naive.statistic, naive.p) == pytest.approx((expected.statistic, expected.pvalue))
        interval = st.mean_difference(d, 1 / 9)
        assert (interval.low <= 0 <= interval.high) == (corrected.p >= 0.05)


def test_paired_t_limits():
    assert st.k_fold_paired_t([0.0, 0.0, 0.0]).p == 1
    found = st.resampled_paired_t([-0.1, -0.1, -0.1])
    assert (found.statistic, found.p, found.degenerate) == (-math.inf, 0.0, True)
    assert "independent" in found.note and "overlap" in found.note
    with pytest.raises(ValueError, match="fold 2 is inf"):
        st.k_fold_paired_t([0.1, math.inf])
    with pytest.raises(ValueError, match="at least 2 fold"):
        st.k_fold_paired_t([0.1])
    with pytest.raises(ValueError, match="test_train_ratio = 0"):
        st.corrected_t([0.1, 0.2], 0)
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(2,\)"):
        st.paired_differences([1, 2, 3], [1, 2])


@given(FOLDS, some.floats(0, 100))
def test_posterior_sums_to_one(d, rope):
    found = st.correlated_t(d, rope, 0.1)
    assert found.below + found.within + found.above == pytest.approx(1)
    mirror = st.correlated_t(-d, rope, 0.1)
    assert (mirror.below, mirror.above) == pytest.approx((found.above, found.below), abs=1e-12)


def test_one_standard_error_rule_for_losses():
    chosen, threshold = st.one_standard_error_rule(
        [0.3, 0.2, 0.21], [0.1, 0.02, 0.01], [1, 3, 2], larger_is_better=False
    )
    assert (chosen, threshold) == (2, pytest.approx(0.22))


@settings(max_examples=60)
@given(arrays(float, some.integers(1, 8), elements=some.integers(-4, 4).map(float)))
def test_sign_flips_by_enumeration(d):
    signs = np.array(list(itertools.product((1, -1), repeat=d.size)))
    expected = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)
    found = st.paired_permutation(d)
    well_formed(found)
    assert found.p == pytest.approx(expected)
    if d.size > 1:
        assert st.paired_permutation_many(np.stack([d, 2 * d])) == pytest.approx([expected, expected])
    ranks = stats.rankdata(np.abs(d[d != 0]))
    flips = np.array(list(itertools.product((1, -1), repeat=ranks.size)))
    if ranks.size:
        signed = np.mean(np.abs(flips @ ranks) >= abs(np.sign(d[d != 0]) @ ranks) - 1e-9)
        assert st.wilcoxon(d).p == pytest.approx(signed)
    else:
        assert st.wilcoxon(d).degenerate and st.sign_test(d).degenerate


def test_random_sign_flips_come_near_the_exact_ones():
    d = np.array([0.31, -0.52, 0.77, 0.12, 0.95, -0.43, 0.64, 0.29, -0.08, 0.5, 0.41, -0.66, 0.2, 0.9])
    exact = st.paired_permutation(d).p
    padded = np.append(d, np.array([1, -1] * 4) * 1e-6)
    found = st.paired_permutation(padded, draws=20_000)
    assert "20000 random" in found.method
    assert found.p == pytest.approx(exact, abs=0.012)
    assert st.paired_permutation(padded, draws=20_000) == found


@settings(max_examples=40)
@given(
    arrays(float, some.integers(1, 4), elements=some.integers(0, 4).map(float)),
    arrays(float, some.integers(1, 4), elements=some.integers(0, 4).map(float)),
)
def test_splits_by_enumeration(x, y):
    both, m = np.append(x, y), x.size
    gaps = []
    for order in itertools.permutations(range(both.size)):
        shuffled = both[list(order)]
        gaps.append(abs(shuffled[:m].mean() - shuffled[m:].mean()))
    found = st.unpaired_permutation(x, y)
    well_formed(found)
    assert found.p == pytest.approx(np.mean(np.array(gaps) >= abs(x.mean() - y.mean()) - 1e-9))


def test_five_against_five_has_a_floor():
    assert st.unpaired_permutation(range(5), range(10, 15)).p == pytest.approx(2 / 252)
    large = st.unpaired_permutation(np.arange(30), np.arange(30) + 0.5, draws=999)
    assert "999 random" in large.method and large.p > 0.5


@given(P_VALUES)
def test_adjustments(p):
    adjusted = {name: st.adjust(p, name) for name in ("bonferroni", "holm", "hochberg", "hommel", "bh", "by", "sidak")}
    order = np.argsort(p, kind="stable")
    for values in adjusted.values():
        assert (np.diff(values[order]) >= -1e-12).all()
        assert (values >= np.array(p) - 1e-12).all() and (values <= 1).all()
    chain = ["bonferroni", "holm", "hochberg", "hommel", "bh"]
    for larger, smaller in itertools.pairwise(chain):
        assert (adjusted[smaller] <= adjusted[larger] + 1e-12).all()
    assert adjusted["hommel"] == pytest.approx(closed_simes(p))


def closed_simes(p):
    """Hommel's definition: the largest Simes p over all sets that hold the test."""
    adjusted = [0.0] * len(p)
    for size in range(1, len(p) + 1):
        for members in itertools.combinations(range(len(p)), size):
            ordered = sorted(p[i] for i in members)
            simes = min(size * value / (rank + 1) for rank, value in enumerate(ordered))
            for i in members:
                adjusted[i] = max(adjusted[i], simes)
    return np.array(adjusted)


def test_p_values_are_checked():
    with pytest.raises(ValueError, match=r"test 2 is 1\.5"):
        st.adjust([0.1, 1.5])
    with pytest.raises(ValueError, match="test 1 is nan"):
        st.adjust([math.nan])
    with pytest.raises(ValueError, match="contradict"):
        st.combine([0.0, 1.0])
    assert st.combine([0.5, 0.5]).p == pytest.approx(0.5)
    assert st.combine([0.0, 0.3], "fisher").degenerate


@given(some.integers(1, 200), some.data())
def test_proportion_intervals(n, data):
    correct = data.draw(some.integers(0, n))
    for method in ("wald", "wilson", "clopper-pearson", "agresti-coull", "jeffreys"):
        found = st.proportion_interval(correct, n, method=method)
        assert 0 <= found.low <= found.high <= 1
    for ours, theirs in (("wilson", "wilson"), ("clopper-pearson", "exact")):
        found = st.proportion_interval(correct, n, method=ours)
        expected = stats.binomtest(correct, n).proportion_ci(method=theirs)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_difference_of_proportions_of_opposites():
    found = st.difference_of_proportions(0, 10, 10, 10, pooled=False)
    assert (found.statistic, found.p, found.degenerate) == (-math.inf, 0.0, True)
    assert not st.difference_of_proportions(0, 10, 10, 10).degenerate
    with pytest.raises(ValueError, match="correct1 = 11 of n1 = 10"):
        st.difference_of_proportions(11, 10, 1, 10)


TIMES = some.lists(some.tuples(some.integers(1, 9), some.booleans()), min_size=1, max_size=7)


@given(TIMES, TIMES)
def test_log_rank_against_scipy(first, second):
    (t1, r1), (t2, r2) = zip(*first, strict=True), zip(*second, strict=True)
    found = st.log_rank(t1, r1, t2, r2)
    well_formed(found)
    assert found.p == pytest.approx(st.log_rank(t2, r2, t1, r1).p)
    if found.degenerate:
        return

    def censored(sample):
        return stats.CensoredData(uncensored=[t for t, r in sample if r], right=[t for t, r in sample if not r])

    expected = stats.logrank(censored(first), censored(second))
    assert (found.statistic, found.p) == pytest.approx((expected.statistic**2, expected.pvalue), abs=1e-9)


def test_all_censored_is_flagged():
    found = st.log_rank([3, 3], [0, 0], [3, 3], [0, 0])
    assert (found.statistic, found.p, found.degenerate) == (0.0, 1.0, True)
    with pytest.raises(ValueError, match="first time at run 2 is inf.*give the budget"):
        st.log_rank([3, math.inf], [1, 0], [3, 3], [0, 0])
    with pytest.raises(ValueError, match="exactly two"):
        st.stratified_log_rank([1, 2], [1, 1], [0, 0], [0, 0])


@given(some.lists(some.integers(1, 20), min_size=1, max_size=9), some.integers(1, 25))
def test_restricted_mean_of_uncensored_times(times, restriction):
    found = st.restricted_mean_time(times, [1] * len(times), restriction)
    shortened = np.minimum(times, restriction)
    assert found.value == pytest.approx(shortened.mean())
    # Greenwood's formula is then the plug-in variance of the mean
    assert found.high - found.value == pytest.approx(1.959964 * shortened.std() / math.sqrt(len(times)), abs=1e-4)


def test_restricted_mean_beyond_the_last_censored_time():
    with pytest.raises(ValueError, match=r"40.* beyond the last, censored time 30"):
        st.restricted_mean_time([10, 30], [1, 0], 40)
    same = st.restricted_mean_difference([5, 5], [1, 1], [5, 5], [1, 1], 10)
    assert same.p == 1 and same.degenerate
    apart = st.restricted_mean_difference([5, 5], [1, 1], [7, 7], [1, 1], 10)
    assert (apart.statistic, apart.p, apart.degenerate) == (-math.inf, 0.0, True)


@given(some.floats(0, 1), some.floats(0, 1), some.floats(0, 1))
def test_632_plus_lies_between_the_two_errors(resubstitution, oob, gamma):
    found = st.bootstrap_632_plus(resubstitution, oob, gamma)
    assert 0 <= found.overfitting_rate <= 1 and 0.632 - 1e-12 <= found.weight <= 1 + 1e-12
    assert min(resubstitution, oob, gamma) - 1e-12 <= found.error_632_plus <= max(resubstitution, oob) + 1e-12


def test_bootstrap_of_constants_and_of_nan():
    for method in ("percentile", "basic", "bca"):
        found = st.bootstrap_interval([2.0, 2.0, 2.0], np.mean, method=method, draws=50)
        assert (found.value, found.low, found.high, found.degenerate) == (2.0, 2.0, 2.0, True)
    with pytest.raises(ValueError, match="data at entry 2 is nan"):
        st.bootstrap_interval([1.0, math.nan], np.mean)
    with pytest.raises(ValueError, match="infinite"):
        st.bootstrap_interval([1.0, 2.0, math.inf], np.median, method="bca", draws=None)
    found = st.out_of_bag_interval([0.8, 0.9, 0.85], n=20)
    assert found.high - found.value == pytest.approx(stats.t.isf(0.025, 19) * 0.05)


@given(arrays(float, some.integers(1, 6), elements=NUMBERS), arrays(float, some.integers(1, 6), elements=NUMBERS))
def test_a12_counts_pairs(x, y):
    pairs = [(a > b) + 0.5 * (a == b) for a in x for b in y]
    assert st.a12(x, y) == pytest.approx(np.mean(pairs))
    assert st.cliffs_delta(x, y) == pytest.approx(-st.cliffs_delta(y, x))


def test_effects_without_variance():
    assert st.cohens_dz([1, 2], [1, 2]).value == 0 and st.cohens_dz([1, 2], [1, 2]).degenerate
    assert st.cohens_d([1, 1], [2, 2]).value == -math.inf
    assert st.rank_agreement([1, 1, 1], [1, 2, 3]).degenerate
    odds = st.discordance_odds(30, 12)
    assert odds.low < odds.value == 2.5 < odds.high
    assert st.discordance_odds(0, 0).degenerate and st.discordance_odds(3, 0).high == math.inf
    with pytest.raises(ValueError, match="pair 2"):
        st.geometric_ratio([1.0, 0.0])


@pytest.mark.parametrize(("effect", "power"), [(0, 0.018), (1, 0.13), (1.5, 0.33), (2, 0.60), (2.5, 0.81), (3, 0.94)])
def test_power_of_the_combined_f(effect, power):
    assert st.five_by_two_cv_f_power(effect) == pytest.approx(power, abs=0.006)


def test_power_of_the_combined_f_by_simulation():
    draws = np.random.RandomState(0).normal(1.5, 1.0, size=(20_000, 5, 2))
    spread = ((draws[:, :, 0] - draws[:, :, 1]) ** 2 / 2).sum(axis=1)
    f = (draws**2).sum(axis=(1, 2)) / (2 * spread)
    assert st.five_by_two_cv_f_power(3.0, 2.0) == pytest.approx(np.mean(f > stats.f.isf(0.05, 10, 5)), abs=0.01)


def test_detectable_difference():
    d = np.array([[0.1, 0.3], [0.2, 0.1], [0.0, 0.4], [0.3, 0.2], [0.1, 0.2]])
    found = st.detectable_difference(d)
    sigma = math.sqrt(st.replication_variances(d).mean())
    assert st.five_by_two_cv_f_power(found, sigma) == pytest.approx(0.8, abs=1e-6)


def test_a_million_tables_and_problems():
    rng = np.random.RandomState(1)
    b, c = rng.randint(0, 40, size=(2, 1_000_000))
    for method in ("exact", "corrected"):
        statistic, p = st.mcnemar_many(b, c, method)
        assert statistic.shape == p.shape == b.shape and (p[(b == 0) & (c == 0)] == 1).all()
    p = st.paired_permutation_many(rng.random_sample((100_000, 5)) - 0.5)
    assert p.min() == pytest.approx(1 / 16)
    right = rng.random_sample((1_000_000, 2)) < [0.7, 0.71]
    assert st.paired_permutation(right[:, 0] * 1.0 - right[:, 1]).p == pytest.approx(
        st.mcnemar(st.disagreement_table(right[:, 0], right[:, 1])).p
    )


def test_the_example_of_the_documentation():
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", page, re.S)[1], names)
    assert names["outcome"].p < 0.05 and 0.78 < names["ratio"] < 0.86 and 1 < names["needed"] < 1.2


def test_every_public_function_says_what_it_raises():
    for name in st.__all__:
        item = getattr(st, name)
        assert item.__doc__, name
        assert isinstance(item, type) or "Raises:" in item.__doc__, name


def test_importing_scoring_does_not_import_the_statistics():
    import subprocess
    import sys

    code = "import sys, scoring; sys.exit('scipy' in sys.modules or 'scoring.statistics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
