"""Choosing one configuration: against a plain recomputation, and that a left-out study stays left out."""

import dataclasses
import itertools
import math
import statistics

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from results.store import find_trials, read_evaluations, read_trial, write_trial
from results.synthetic import write_runs
from scoring import api
from scoring.calibration import Times, calibrate, choose, nested, scores
from scoring.calibration_results import read_times
from scoring.errors import ScoringError
from scoring.profile import Layout

INF = math.inf
LIMIT = 101.0
VALUES = st.sampled_from([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 33.0, INF])


def make(points, reference, layout=None, limit=LIMIT):
    points, reference = np.array(points, float), np.array(reference, float)
    layout = layout or Layout(tuple("uvwxyz"[: points.shape[1]]))
    return Times(layout, points, reference, np.full(reference.shape, limit))


@st.composite
def tables(draw, min_studies=1):
    p, w, k = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(min_studies, 4))
    cells = st.lists(VALUES, min_size=(p + 1) * w * k, max_size=(p + 1) * w * k)
    runs = np.array(draw(cells)).reshape(p + 1, w, k)
    return make(runs[1:], runs[0])


def median(values):
    return INF if INF in sorted(values)[(len(values) - 1) // 2 : len(values) // 2 + 1] else statistics.median(values)


def plain_merits(times, studies, workloads):
    """(score, log credit, share of hits) of every point, from the definitions alone."""
    merits = []
    for point in times.points:
        credit = log_credit = hits = 0.0
        for w in workloads:
            anchor = median([times.reference[w, k] for k in studies])
            ratio = median([point[w, k] for k in studies]) / (LIMIT if anchor == INF else anchor)
            credit += max(0.0, (4 - max(ratio, 1)) / 3)
            log_credit += min(1.0, max(0.0, 0.5 - math.log(ratio) / (2 * math.log(4)))) if ratio < INF else 0.0
            hits += sum(point[w, k] < INF for k in studies)
        n = len(workloads)
        merits.append((round(credit / n, 12), round(log_credit / n, 12), round(hits / n / len(studies), 12)))
    return merits


def plain_choice(times, studies, workloads):
    merits = plain_merits(times, studies, workloads)
    return merits.index(max(merits))


@hypothesis.settings(derandomize=True)
@hypothesis.given(tables())
def test_everything_agrees_with_a_plain_recomputation(times):
    n, workloads = times.n_studies, range(len(times.layout.base))
    found = calibrate(times)
    merits = plain_merits(times, range(n), workloads)
    assert [(p.score, p.log_credit, p.reached) for p in found.points] == [pytest.approx(m, abs=1e-9) for m in merits]
    assert found.chosen == plain_choice(times, range(n), workloads)
    if n == 1:
        assert found.nested is None
    else:
        points = [plain_choice(times, [j for j in range(n) if j != k], workloads) for k in range(n)]
        alone = [plain_merits(times, [k], workloads) for k in range(n)]
        nest = [alone[k][point][0] for k, point in enumerate(points)]
        overall = [alone[k][found.chosen][0] for k in range(n)]
        assert [fold.point for fold in found.nested.folds] == points
        assert found.nested.score == pytest.approx(statistics.mean(nest), abs=1e-9)
        assert found.nested.optimism == pytest.approx(statistics.mean(overall) - statistics.mean(nest), abs=1e-9)
        assert found.nested.same_point == pytest.approx(points.count(found.chosen) / n)
    several = workloads if len(workloads) > 1 else ()
    without = [plain_choice(times, range(n), [w for w in workloads if w != left]) for left in several]
    assert [each.point for each in found.workloads] == without
    for w, each in enumerate(found.workloads):
        one = plain_merits(times, range(n), [w])
        assert each.credit == pytest.approx(one[each.point][0]) and each.overall == pytest.approx(one[found.chosen][0])


@hypothesis.given(tables(min_studies=2), st.data())
def test_a_choice_never_sees_the_study_that_it_is_scored_on(times, data):
    k = data.draw(st.integers(0, times.n_studies - 1))
    points, reference = times.points.copy(), times.reference.copy()
    instead = times.instead.copy()
    points[..., k] = np.array(data.draw(st.lists(VALUES, min_size=points[..., k].size, max_size=points[..., k].size))
                              ).reshape(points[..., k].shape)  # fmt: skip
    reference[:, k] = data.draw(VALUES)
    instead[:, k] = data.draw(st.floats(1, 50))
    other = Times(times.layout, points, reference, instead)
    assert nested(other).folds[k].point == nested(times).folds[k].point


@hypothesis.given(tables(), st.randoms(use_true_random=False))
def test_orders_of_studies_workloads_and_points_do_not_matter(times, random):
    p, w, k = (random.sample(range(n), n) for n in times.points.shape)
    turned = make(times.points[np.ix_(p, w, k)], times.reference[np.ix_(w, k)])
    assert scores(turned) == pytest.approx(scores(times)[p])
    if len(set(plain_merits(times, range(len(k)), range(len(w))))) == len(p):
        assert p[choose(turned)] == choose(times)


def test_a_search_over_pure_noise_gains_nothing_in_the_nested_score():
    """Points that differ by chance alone: the best one's score is too high, the nested one is that of any point."""
    random = np.random.RandomState(0)
    drawn = [np.exp(random.normal(0.4, 0.5, (9, 4, 3))) for _ in range(200)]
    found = [calibrate(make(points, np.ones((4, 3)))) for points in drawn]
    truth = np.mean([[scores(make(points[..., k : k + 1], np.ones((4, 1)))) for k in range(3)] for points in drawn])
    nest = np.array([f.nested.score for f in found])
    assert abs(nest.mean() - truth) < 3 * nest.std() / math.sqrt(len(nest))
    assert np.mean([f.nested.optimism for f in found]) > 0.05
    assert np.mean([f.points[f.chosen].score for f in found]) > truth + 0.05


def test_the_interval_needs_three_studies_and_stays_within_the_scale():
    two = make([[[2.0, 3.0]]], [[2.0, 2.0]])
    assert nested(two).interval is None
    three = nested(make([[[2.0, 3.0, 8.0]]], [[2.0, 2.0, 2.0]]))
    assert three.score == pytest.approx((1 + 2.5 / 3 + 0) / 3)
    assert three.interval[0] == 0 and three.interval[1] == 1
    assert three.optimism == 0 and three.same_point == 1


def test_being_faster_than_the_reference_only_parts_equal_scores():
    times = make([[[1.0], [8.0]], [[4.0], [4.0]], [[2.0], [4.0]]], [[4.0], [4.0]])
    assert scores(times).tolist() == pytest.approx([5 / 6, 1, 1]) and choose(times) == 2


def test_a_missed_variant_costs_its_workload_the_credit_and_leaves_with_it():
    layout = Layout(("u", "v"), ("u_x",), (0,))
    times = make([[[4.0], [4.0], [INF]], [[8.0], [8.0], [8.0]]], [[4.0]] * 3, layout)
    found = calibrate(times)
    assert [p.score for p in found.points] == pytest.approx([0.5, 2 / 3]) and found.chosen == 1
    assert [(each.workload, each.point) for each in found.workloads] == [("u", 0), ("v", 1)]
    assert found.points[0].ratios == {"u": 1.0, "v": 1.0, "u_x": INF}
    assert found.to_json()["points"][0]["ratios"]["u_x"] is None


def test_where_no_point_reaches_a_target_none_is_chosen():
    found = calibrate(make([[[INF, INF]]], [[1.0, 2.0]]))
    assert not found.reached_any and found.to_json()["chosen"] is None and found.nested.score == 0


def test_a_missing_time_or_study_is_refused():
    with pytest.raises(ScoringError, match="run what is missing"):
        make([[[math.nan]]], [[1.0]])
    with pytest.raises(ScoringError, match="the points have"):
        make([[[1.0, 2.0]]], [[1.0]])


# ---- from records ----

OUTCOMES = {"u": [[8.0, 3.0], [9.0, INF], [7.0, 5.0]], "v": [[20.0, 30.0], [25.0, 31.0], [INF, 29.0]]}
REFERENCE = {"u": [[5.0], [6.0], [4.0]], "v": [[30.0], [INF], [20.0]]}


def folders(root):
    return {read_trial(folder).spec.key: folder for folder in find_trials(root)}


def test_recorded_points_have_the_scores_that_the_leaderboard_gives_them(tmp_path):
    candidates = folders(write_runs(tmp_path / "a", {"entry": OUTCOMES}))
    times, _ = read_times(candidates, folders(write_runs(tmp_path / "b", {"base": REFERENCE})), "wall")
    assert times.points.tolist() == [
        [[8.0, 9.0, 7.0], [20.0, 25.0, INF]],
        [[3.0, INF, 5.0], [30.0, 31.0, 29.0]],
    ]
    alone = {f"p{n}": {w: [[s[n]] for s in studies] for w, studies in OUTCOMES.items()} for n in (0, 1)}
    board = api.score([write_runs(tmp_path / "c", {"base": REFERENCE, **alone})], reference="base").to_json()
    entries = board["anchored"]["entries"]
    for point, name in zip(calibrate(times).points, alone, strict=True):
        assert point.score == pytest.approx(entries[name]["score"]["value"])
        assert point.log_credit == pytest.approx(entries[name]["log_credit"]["value"])


def test_what_stands_in_for_a_miss_comes_from_the_same_study(tmp_path):
    reference = {"u": [[INF], [[(2.0, 0.1)]]]}
    candidates = folders(write_runs(tmp_path / "a", {"entry": {"u": [[8.0], [9.0]]}}))
    times, _ = read_times(candidates, folders(write_runs(tmp_path / "b", {"base": reference})), "steps")
    assert times.instead.tolist() == [[1001.0, 21.0]] and times.points.tolist() == [[[80.0, 90.0]]]


def test_runs_with_other_goals_do_not_compare(tmp_path):
    candidates = folders(write_runs(tmp_path / "a", {"entry": OUTCOMES}))
    baseline = folders(write_runs(tmp_path / "b", {"base": REFERENCE}))
    folder = next(iter(baseline.values()))
    record = read_trial(folder)
    other = dataclasses.replace(record, spec=dataclasses.replace(record.spec, budget_sec=7.0))
    write_trial(tmp_path / "b", other, read_evaluations(folder))
    with pytest.raises(ScoringError, match="do not compare"):
        read_times(candidates, baseline, "wall")


def test_the_median_of_the_oracle_is_that_of_numpy():
    for values in itertools.product([1.0, 4.0, INF], repeat=4):
        assert median(list(values)) == np.median(values)
