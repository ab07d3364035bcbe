import math

import numpy as np
import pytest

from results.synthetic import write_runs
from scoring import api
from scoring.anchor import _t_interval, anchored_ratios, log_credits
from scoring.profile import Layout

INF = math.inf
FIELD = {
    "base": {"u": [[10.0], [10.0], [10.0]], "v": [[20.0], [22.0], [21.0]]},
    "fast": {"u": [[5.0], [5.5], [5.2]], "v": [[INF], [INF], [INF]]},
}


def test_log_credit_runs_from_four_times_faster_to_four_times_slower():
    assert log_credits(np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, INF])).tolist() == [1, 1, 0.75, 0.5, 0.25, 0, 0, 0]


def test_log_credit_is_the_integral_of_the_profile_over_log_tau():
    ratios = np.exp(np.random.RandomState(0).standard_normal(50))
    taus = np.exp(np.linspace(-math.log(4), math.log(4), 20_001))
    profile = (ratios[:, None] <= taus).mean(axis=0)
    assert log_credits(ratios).mean() == pytest.approx(np.trapezoid(profile, dx=1 / 20_000), abs=1e-4)


def test_a_missing_variant_costs_the_base_its_credit():
    layout = Layout(("u",), ("u_x",), (0,))
    times = np.array([[10.0, 10.0], [5.0, INF], [5.0, 41.0], [5.0, 40.0]])
    ratios = anchored_ratios(times, layout, 0, np.array([100.0, 100.0]))
    assert ratios[:, 0].tolist() == [1.0, INF, INF, 0.5]


def test_where_the_reference_missed_its_budget_stands_in():
    ratios = anchored_ratios(np.array([[INF], [50.0]]), Layout(("u",)), 0, np.array([100.0]))
    assert ratios[:, 0].tolist() == [INF, 0.5]


def test_scores_against_a_reference(tmp_path):
    anchored = api.score([write_runs(tmp_path, FIELD)], reference="base").to_json()["anchored"]
    base, fast = anchored["entries"]["base"], anchored["entries"]["fast"]
    assert base["score"]["value"] == 1.0 and base["log_credit"]["value"] == 0.5 and base["speedup"]["value"] == 1.0
    assert fast["score"]["value"] == 0.5
    assert fast["speedup"]["value"] == pytest.approx(math.sqrt(0.52 * 101 / 21))
    assert fast["substituted"] == ("v",) and base["substituted"] == ()
    low, high = fast["speedup"]["studies"]
    assert low < fast["speedup"]["value"] < high


def test_another_entry_never_moves_an_anchored_number(tmp_path):
    small = api.score([write_runs(tmp_path / "a", FIELD)], reference="base").to_json()["anchored"]["entries"]
    more = {**FIELD, "new": {"u": [[1.0]] * 3, "v": [[2.0]] * 3}}
    large = api.score([write_runs(tmp_path / "b", more)], reference="base").to_json()["anchored"]["entries"]
    assert {name: large[name] for name in small} == small


def test_on_steps_the_longest_trial_of_the_reference_stands_in(tmp_path):
    runs = write_runs(tmp_path, {"base": {"u": [[INF]]}, "fast": {"u": [[50.0]]}})
    entries = api.score([runs], reference="base", clock="steps").to_json()["anchored"]["entries"]
    assert entries["fast"]["speedup"]["value"] == pytest.approx(500 / 1001)


def test_t_interval_of_the_speedup(oracles):
    case = oracles["geometric_speedup"]
    logs = np.log(case["inputs"]["ratios"])
    assert math.exp(logs.mean()) == pytest.approx(case["expected"]["gmean"])
    assert _t_interval(logs) == pytest.approx(case["expected"]["t_ci"], abs=1e-9)


def test_penalised_means(tmp_path):
    penalised = api.score([write_runs(tmp_path, FIELD)]).to_json()["penalised_means"]
    assert penalised["base"]["PAR2"] == penalised["base"]["PAR10"] == pytest.approx(math.sqrt(10 * 21))
    assert penalised["fast"]["PAR2"] == pytest.approx(math.sqrt(5.2 * 200))
    assert penalised["fast"]["PAR10"] == pytest.approx(math.sqrt(5.2 * 1000))
