"""Verdicts on synthetic samples, against the tests' own functions and against what anyone would say."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scoring import statistics
from scoring.comparison import DESIGNS, RESPONSES, Run, Sample, compare
from scoring.comparison.pages import caption, cells, notes, page, print_comparison, sentence, write_comparison
from scoring.comparison.verdicts import Verdict, runs_needed
from scoring.errors import ScoringError

FOLDS = tuple(f"5x2cv/r{r}f{f}" for r in range(1, 6) for f in (1, 2))


def sample(name, times, workload="mnist", units=FOLDS, metric=None, right=None, limit=100.0):
    metric = np.full(len(times), 0.95) if metric is None else metric
    runs = tuple(
        Run(unit, t, t if math.isinf(t) else round(10 * t), limit, 10 * limit, m, right)
        for unit, t, m in zip(units, times, metric, strict=True)
    )
    return Sample(name, workload, "maximize", "accuracy", runs)


def field(*samples):
    return {(s.submission, s.workload): s for s in samples}


def noisy(seed, factor=1.0, n=10, sd=0.05):
    return factor * np.exp(np.random.RandomState(seed).normal(3, sd, n))


def test_a_clear_difference_is_a_verdict_with_its_numbers():
    a, b = noisy(0), noisy(1, 2.0)
    result = compare(field(sample("a", a), sample("b", b)))
    (row,) = result.rows
    d = np.log(a) - np.log(b)
    expected = statistics.five_by_two_cv_f(d.reshape(5, 2))
    assert row.verdict is Verdict.FASTER and result.decided
    assert (row.outcome.statistic, row.outcome.df, row.outcome.p) == (expected.statistic, (10, 5), expected.p)
    assert row.effect.value == pytest.approx(math.exp(d.mean())) and row.effect.low < row.effect.value < row.effect.high
    assert row.p_adjusted == row.outcome.p and row.runs_needed is None
    (reverse,) = compare(field(sample("b", b), sample("a", a))).rows
    assert reverse.verdict is Verdict.SLOWER and reverse.effect.value == pytest.approx(1 / row.effect.value)


def test_a_difference_that_the_interval_does_not_exclude_is_said_to_be_so():
    d = [1.71, 1.24, 0.97, 1.3, 0.78, 0.64, 1.01, 2.11, 0.18, 1.23]
    (row,) = compare(field(sample("a", noisy(0) * np.exp(d)), sample("b", noisy(0)))).rows
    assert row.verdict is Verdict.SLOWER and row.effect.low < 1 < row.effect.high
    assert "the interval of the effect includes no difference although the test finds one" in row.note
    (clear,) = compare(field(sample("a", noisy(0)), sample("b", noisy(1, 2.0)))).rows
    assert clear.effect.high < 1 and "interval" not in clear.note


def test_equal_within_the_margin_is_no_meaningful_difference_and_noise_is_not_enough_data():
    a, b = noisy(0, sd=0.005), noisy(1, sd=0.005)
    (row,) = compare(field(sample("a", a), sample("b", b))).rows
    assert row.verdict is Verdict.SAME
    (row,) = compare(field(sample("a", a), sample("b", b)), margin=1.0001).rows
    assert row.verdict is Verdict.OPEN
    noise = field(sample("a", noisy(2, sd=0.5)), sample("b", noisy(3, 1.3, sd=0.5)))
    result = compare(noise)
    (row,) = result.rows
    assert row.verdict is Verdict.OPEN and not result.decided
    assert row.runs_needed > 0 and row.runs_needed % 2 == 0
    assert "more runs would probably decide it" in sentence(row, True) and "with 80% power" in row.note


def test_identical_runs_are_flagged_and_no_difference():
    (row,) = compare(field(sample("a", noisy(0)), sample("b", noisy(0)))).rows
    assert row.outcome.degenerate and row.outcome.p == 1 and row.verdict is Verdict.SAME


def test_times_that_are_censored_beyond_use_decide_nothing():
    a = np.where(np.arange(10) < 7, math.inf, 20.0)
    b = np.where(np.arange(10) < 6, math.inf, 60.0)
    (row,) = compare(field(sample("a", a), sample("b", b))).rows
    assert row.verdict is Verdict.OPEN and row.runs_needed is None
    assert (row.censored_first, row.censored_second) == (pytest.approx(0.7), pytest.approx(0.6))
    assert "censored beyond use: 70% and 60% of the runs missed" in row.note
    (row,) = compare(field(sample("a", noisy(0)), sample("b", np.full(10, math.inf)))).rows
    assert row.verdict is Verdict.FASTER and row.censored_second == 1
    assert row.effect.value == pytest.approx(np.exp(np.mean(np.log(noisy(0)) - math.log(200))))


def test_pairs_and_workloads_are_one_family():
    names, workloads = "abc", ("mnist", "criteo1tb")
    found = field(
        *(sample(n, noisy(i + 10 * j, 1 + 0.3 * i), w) for i, n in enumerate(names) for j, w in enumerate(workloads))
    )
    result = compare(found)
    assert len(result.rows) == 6 and result.to_json()["family_size"] == 6
    p = [row.outcome.p for row in result.rows]
    assert [row.p_adjusted for row in result.rows] == pytest.approx(list(stats_holm(p)))
    assert set(result.combined) == set(itertools.combinations(names, 2))
    assert result.combined["a", "c"].p < min(
        row.outcome.p for row in result.rows if (row.first, row.second) == ("a", "c")
    )
    plain = compare(found, adjustment="none")
    assert [row.p_adjusted for row in plain.rows] == p


def stats_holm(p):
    order = np.argsort(p)
    steps = np.maximum.accumulate([p[i] * (len(p) - k) for k, i in enumerate(order)])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def studies(n):
    return tuple(f"study {i}" for i in range(1, n + 1))


@pytest.mark.parametrize(
    ("test", "n", "ratio", "oracle"),
    [
        ("5x2cv-t", 10, 1.0, lambda d, a, b: statistics.five_by_two_cv_t(d.reshape(5, 2)).p),
        ("corrected-t", 15, 0.5, lambda d, a, b: 2 * stats.t.sf(
            abs(d.mean()) / (d.std(ddof=1) * math.sqrt(1 / 15 + 0.5)), 14)),
        ("wilcoxon", 12, 1 / 9, lambda d, a, b: stats.wilcoxon(d).pvalue),
        ("permutation", 8, 0.0, lambda d, a, b: stats.permutation_test(
            (a, b), lambda x, y: np.mean(x) - np.mean(y), n_resamples=10**6).pvalue),
        ("log-rank", 8, 0.0, lambda d, a, b: stats.logrank(np.exp(a), np.exp(b)).pvalue),
    ],
)  # fmt: skip
def test_each_test_is_what_it_says(test, n, ratio, oracle):
    a, b = noisy(4, n=n, sd=0.3), noisy(5, 1.2, n=n, sd=0.3)
    result = compare(
        field(sample("a", a, units=studies(n)), sample("b", b, units=studies(n))), test=test, test_train_ratio=ratio
    )
    (row,) = result.rows
    assert row.outcome.p == pytest.approx(oracle(np.log(a) - np.log(b), np.log(a), np.log(b)), rel=1e-6)
    assert row.effect.value == pytest.approx(math.exp(np.log(a).mean() - np.log(b).mean()))


def test_networks_are_compared_on_test_examples():
    rng = np.random.RandomState(0)
    right = {name: rng.random_sample(2000) < share for name, share in (("a", 0.95), ("b", 0.90))}
    right["c"] = right["a"] ^ (np.arange(2000) % 500 == 0)
    one = ("study 1",)
    found = field(*(sample(n, [20.0], units=one, right=r) for n, r in right.items()))
    result = compare(found, test="cochran-q", test_train_ratio=0.0)
    q = statistics.cochran_q(np.stack([right[n] for n in "abc"], axis=1).astype(int))
    assert result.omnibus["mnist"].statistic == pytest.approx(q.statistic)
    assert result.rows[0].verdict is Verdict.BETTER
    assert result.rows[0].effect.value == pytest.approx(right["b"].mean() - right["a"].mean())
    assert result.rows[1].verdict is Verdict.SAME and result.rows[0].n_first == 2000
    assert any("not about the algorithms" in note for note in notes(result))
    with pytest.raises(ScoringError, match="no record of which test examples are right"):
        compare(field(sample("a", [1.0], units=one), sample("b", [1.0], units=one)), test="mcnemar")


def test_several_submissions_are_ranked_over_workloads():
    workloads = [f"w{i}" for i in range(12)]
    found = field(
        *(
            sample(n, noisy(100 * i + j, 1 + 0.5 * i, n=3), w, studies(3))
            for i, n in enumerate("abc")
            for j, w in enumerate(workloads)
        )
    )
    result = compare(found, test="friedman", test_train_ratio=0.0)
    means = [[np.log(noisy(100 * i + j, 1 + 0.5 * i, n=3)).mean() for j in range(12)] for i in range(3)]
    assert result.omnibus["all workloads"].p == pytest.approx(stats.friedmanchisquare(*means).pvalue)
    assert [row.verdict for row in result.rows] == [Verdict.FASTER] * 3
    assert all("Nemenyi p = " in row.note for row in result.rows)
    assert result.ranks is not None and list(result.ranks.mean_ranks) == [1, 2, 3]
    with pytest.raises(ScoringError, match=r"friedman ranks over workloads and needs at least 2.*add --workload"):
        compare({key: s for key, s in found.items() if key[1] == "w0"}, test="friedman")
    with pytest.raises(ScoringError, match="friedman needs at least 3 submissions, there are 2"):
        compare({key: s for key, s in found.items() if key[0] != "c"}, test="friedman")
    pair = compare({key: s for key, s in found.items() if key[0] != "c"}, test="wilcoxon", test_train_ratio=0.0)
    assert pair.rows[0].workload == "all workloads" and pair.rows[0].outcome.p == 2**-11
    assert pair.rows[0].effect.value == pytest.approx(math.exp(np.mean(np.subtract(means[0], means[1]))))


def test_the_metric_keeps_its_direction():
    high, low = np.linspace(0.96, 0.97, 10), np.linspace(0.90, 0.92, 10)
    higher = compare(field(sample("a", noisy(0), metric=high), sample("b", noisy(0), metric=low)), response="metric")
    assert higher.rows[0].verdict is Verdict.BETTER and higher.rows[0].effect.value < 0
    reached = compare(
        field(sample("a", noisy(0)), sample("b", np.full(10, math.inf))), response="reached", test="corrected-t"
    )
    assert reached.rows[0].verdict is Verdict.BETTER and reached.rows[0].outcome.degenerate


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"units": FOLDS[1:] + FOLDS[:1]}, {}, "a and b on mnist have unequal folds: they differ in their order"),
        ({"units": (*FOLDS[:-1], "5x2cv/r6f1")}, {}, "unequal folds: they differ in 5x2cv/r5f2, 5x2cv/r6f1"),
        ({"metric": [math.nan] * 10}, {"response": "metric"}, "b on mnist has no metric in 5x2cv/r1f1"),
        ({}, {"plan": "kfold-10"}, "plan kfold-10: the 5x2cv tests need the plan 5x2cv"),
        ({}, {"test": "anova"}, "no test 'anova'; there is: 5x2cv-f"),
        ({}, {"test": "log-rank", "response": "metric"}, "log-rank cannot compare 'metric'; it knows: log-time, steps"),
        ({}, {"test": "mcnemar", "response": "steps"}, "mcnemar cannot compare 'steps'; leave --response out"),
        ({}, {"test": "permutation"}, "plan 5x2cv: permutation needs independent studies; use a holdout-N plan"),
        ({}, {"test": "corrected-t", "test_train_ratio": 0.0}, "plan 5x2cv: corrected-t needs a plan that resamples"),
        ({}, {"margin": 0.9}, "margin 0.9: write it as a ratio above 1"),
        ({}, {"adjustment": "fisher"}, "method = 'fisher'"),
        ({"workload": "criteo1tb"}, {}, "no runs of a on criteo1tb; every submission needs every workload"),
    ],
)
def test_bad_input_is_refused(changes, options, message):
    second = sample("b", noisy(1), **changes)
    with pytest.raises(ScoringError, match=message):
        compare(field(sample("a", noisy(0)), second), **options)


def test_too_few_folds_are_refused():
    units = FOLDS[:8]
    with pytest.raises(ScoringError, match="8 folds: the 5x2cv tests need 5 replications of 2 halves"):
        compare(field(sample("a", noisy(0, n=8), units=units), sample("b", noisy(1, n=8), units=units)))


@given(mean=st.floats(-2, 2), sd=st.floats(0.01, 2), n=st.integers(2, 50), margin=st.floats(0.01, 0.5))
@settings(max_examples=60)
def test_runs_needed_fall_with_the_effect_and_rise_with_the_noise(mean, sd, n, margin):
    now = runs_needed(mean, sd, n, margin, 0.05)
    noisier = runs_needed(mean, 2 * sd, n, margin, 0.05)
    assert now is None or now >= 2
    assert noisier is None or now is None or noisier >= now


def test_needed_runs_are_those_of_the_paired_t_test():
    needed = runs_needed(0.2, 0.4, 10, 0.01, 0.05)
    assert needed == 2 * (math.ceil(statistics.paired_t_sample_size(0.5)) - 10)
    assert runs_needed(0.0, 0.0, 10, 0.1, 0.05) is None and runs_needed(0.1, 50.0, 10, 0.1, 0.05) is None


def test_what_people_see(tmp_path):
    from rich.console import Console

    found = field(sample("a<b>", noisy(0)), sample("b", noisy(1, 2.0)), sample("c", noisy(2, 2.0, sd=0.4)))
    result = compare(found)
    path = write_comparison(result, found, tmp_path / "pages")
    text = path.read_text()
    assert "a&lt;b&gt; is faster than b on mnist" in text and text.count("<svg") == 2
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    assert json.loads(path.with_suffix(".json").read_text())["rows"][0]["verdict"] == "faster"
    assert page(result, found) == page(result, found)
    console = Console(width=200, record=True, file=(tmp_path / "out").open("w"))
    with console.file:
        print_comparison(result, console)
    shown = console.export_text()
    assert "3 hypotheses, corrected together by holm" in shown and caption(result) in shown
    assert "a<b>" in shown and "v b" in shown and "F(10, 5) = " in shown
    assert cells(result.rows[0], True)[2] == "faster"


def test_every_design_and_response_is_described():
    for name, design in DESIGNS.items():
        assert design.name == name and design.summary and set(design.responses) <= set(RESPONSES)
