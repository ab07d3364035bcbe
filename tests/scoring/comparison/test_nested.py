"""Nested cross-validation against scikit-learn's, and by hand."""

import math

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score

from scoring.comparison import RESPONSES, Run, nested
from scoring.comparison.nested import choose_point
from scoring.comparison.nested_view import conclusions
from scoring.errors import ScoringError


def run(time, metric=0.5, unit="u"):
    return Run(unit, time, time * 10, 100.0, 1000.0, metric)


def test_the_procedure_is_scikit_learns_nested_cross_validation():
    x, y = make_classification(150, 20, n_informative=4, flip_y=0.2, random_state=0)
    grid = [1e-3, 1e-2, 0.1, 1.0]
    outer_cv, inner_cv = (StratifiedKFold(k, shuffle=True, random_state=1) for k in (5, 3))
    search = GridSearchCV(LogisticRegression(), {"C": grid}, cv=inner_cv)
    expected = cross_val_score(search, x, y, cv=outer_cv)

    def score(c, train, test):
        return LogisticRegression(C=c).fit(x[train], y[train]).score(x[test], y[test])

    inner, outer = {}, {}
    for number, (train, test) in enumerate(outer_cv.split(x, y)):
        inner[f"fold {number}"] = [
            [run(math.inf, score(c, train[a], train[b])) for a, b in inner_cv.split(x[train], y[train])] for c in grid
        ]
        outer[f"fold {number}"] = [run(math.inf, score(c, train, test)) for c in grid]
    result = nested(inner, outer, RESPONSES["metric"], "maximize")
    assert [choice.outer for choice in result.choices] == pytest.approx(list(expected))
    assert -result.summary.mean == pytest.approx(expected.mean())
    means = [np.mean([outer[f][i].metric for f in outer]) for i in range(len(grid))]
    assert -result.non_nested_mean == pytest.approx(max(means))
    assert result.optimism == pytest.approx(max(means) - expected.mean()) and result.optimism >= -1e-12


@pytest.mark.parametrize(
    ("inner", "chosen"),
    [
        ([[run(9), run(3)], [run(5), run(6)]], 1),  # medians 6 and 5.5
        ([[run(4), run(8)], [run(5), run(7)]], 0),  # equal medians and hits: the first
        ([[run(4), run(math.inf)], [run(900), run(900)]], 1),  # a miss in the median is later than any time
        ([[run(math.inf), run(math.inf)], [run(math.inf), run(8)]], 1),  # more hits
        ([[run(math.inf, 0.7)], [run(math.inf, 0.8)]], 1),  # then the metric
    ],
)
def test_the_choice_is_by_median_time_then_hits_then_metric(inner, chosen):
    assert choose_point(inner, RESPONSES["log-time"], "maximize") == chosen


def test_the_metric_is_chosen_in_its_direction():
    inner = [[run(5, 0.9), run(5, 0.5)], [run(9, 0.8), run(9, 0.8)]]
    assert choose_point(inner, RESPONSES["metric"], "maximize") == 1
    assert choose_point(inner, RESPONSES["metric"], "minimize") == 0


def test_optimism_is_what_choosing_afterwards_gains():
    outer = {f"f{i}": [run(10.0 + i), run(20.0 - i)] for i in range(4)}
    inner = {f: [[run(9)], [run(8)]] if f in ("f0", "f1") else [[run(7)], [run(8)]] for f in outer}
    result = nested(inner, outer, RESPONSES["log-time"], "maximize")
    assert [choice.point for choice in result.choices] == [1, 1, 0, 0]
    honest = np.mean(np.log([20, 19, 12, 13]))
    assert result.summary.mean == pytest.approx(honest)
    assert result.optimism == pytest.approx(honest - np.mean(np.log([10, 11, 12, 13])))
    assert result.same_point == 0.5 and result.to_json()["choices"][0]["point"] == 1
    assert "optimistic by a factor of 1.36" in conclusions(result)[1]


def test_unequal_loops_are_refused():
    outer = {"f1": [run(1.0)], "f2": [run(1.0)]}
    with pytest.raises(ScoringError, match="needs the same outer folds"):
        nested({"f1": [[run(1.0)]]}, outer, RESPONSES["metric"], "maximize")
    with pytest.raises(ScoringError, match=r"unequal numbers of points over folds: \[1, 2\]"):
        nested({f: [[run(1.0)], [run(1.0)]] for f in outer}, outer, RESPONSES["metric"], "maximize")
    with pytest.raises(ScoringError, match="at least one inner run"):
        choose_point([[run(1.0)], []], RESPONSES["metric"], "maximize")
