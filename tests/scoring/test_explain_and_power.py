import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from results.synthetic import write_runs
from scoring import api
from scoring.errors import ScoringError
from scoring.power import fit, true_times

INF = math.inf
OUTCOMES = {
    "good": {"u": [[10.0, 12.0]] * 3, "v": [[10.0, INF]] * 3, "w": [[10.0, 11.0]] * 3, "z": [[10.0, 11.0]] * 3},
    "mixed": {"u": [[20.0, 30.0]] * 3, "v": [[50.0, 60.0]] * 3, "w": [[INF, INF]] * 3},
}


def printed(show, result):
    console = Console(width=220, file=io.StringIO())
    show(result, console)
    return console.file.getvalue()


@pytest.fixture
def runs(tmp_path):
    write_runs(tmp_path, {**OUTCOMES, "third": {"z_x": [[12.0]] * 3}} | {"third": {"z": [[11.0, 12.0]] * 3}})
    write_runs(tmp_path, {"good": {"z_x": [[5.0]] * 3}, "third": {"z_x": [[INF]] * 3}}, base_workload="z", variant="x")
    return tmp_path


def test_an_explanation_adds_up_and_names_causes_and_records(runs):
    explanation = api.explain("mixed", [runs], reference="good")
    accounts = {account.workload: account for account in explanation.workloads}
    assert sum(account.points for account in accounts.values()) == pytest.approx(explanation.score)
    assert sum(account.points_lost for account in accounts.values()) == pytest.approx(1 - explanation.score)
    assert {name: account.cause for name, account in accounts.items()} == {
        "u": "slower",
        "v": "past_cut",
        "w": "missed",
        "z": "no_data",
    }
    assert accounts["u"].fastest == "good" and accounts["u"].ratio == accounts["u"].anchor_ratio == 2.0
    assert accounts["v"].detail == "5.00 times the time of good, beyond 4"
    assert "missed in 3 of 3 studies; study 1: budget exhausted" in accounts["w"].detail
    assert accounts["w"].record.endswith("mixed/study_1/w_pytorch/trial_1")
    assert [account.points_lost for account in explanation.workloads] == sorted(
        (account.points_lost for account in explanation.workloads), reverse=True
    )


def test_a_failed_variant_is_named(runs):
    accounts = {account.workload: account for account in api.explain("third", [runs]).workloads}
    assert accounts["z"].cause == "variant_failed" and accounts["z"].detail.startswith("held-out z_x: missed")


def test_what_ten_percent_would_earn(runs):
    account = next(a for a in api.explain("mixed", [runs]).workloads if a.workload == "u")
    assert account.gain == pytest.approx(0.2 / 3 / 4)


def test_why_a_trial_was_chosen(runs):
    data = api.explain("good", [runs]).to_json()
    studies = {account["workload"]: account["studies"] for account in data["workloads"]}
    assert studies["u"][0]["why"] == "earliest; 2 of 2 trials reached the target, the next at 12.0 s"
    assert studies["v"][0]["why"] == "1 of 2 trials reached the target"
    assert studies["u"][0]["folder"].endswith("good/study_1/u_pytorch/trial_1")
    json.dumps(data, allow_nan=False)
    official = api.explain("good", [runs], rules="official").to_json()["workloads"][0]["studies"][0]["why"]
    assert official.startswith("smallest evaluation index (1)")


def test_the_printed_explanation(runs):
    text = printed(api.print_explanation, api.explain("mixed", [runs], reference="good"))
    assert "mixed: score 0.1667" in text and "no trial at all" in text and "1:miss, 2:miss, 3:miss" in text


def test_no_rank_is_told_where_every_score_is_zero(tmp_path):
    write_runs(tmp_path, {name: {"u": [[INF]] * 3} for name in ("a", "b")})
    assert "a: score 0.0000, no rank, since every score is 0 (" in printed(
        api.print_explanation, api.explain("a", [tmp_path])
    )


def test_unknown_submissions(runs):
    with pytest.raises(ScoringError, match="no submission 'bad'; there is: good, mixed, third"):
        api.explain("bad", [runs])
    with pytest.raises(ScoringError, match="no submission 'none'"):
        api.explain("good", [runs], reference="none")


def noisy(tmp_path, ratio, sd=0.1, studies=5, hit=1.0):
    rng = np.random.RandomState(0)
    outcomes = {
        name: {
            workload: [
                [float(scale * math.exp(sd * rng.standard_normal())) if rng.random_sample() < hit else INF]
                for _ in range(studies)
            ]
            for workload in "uvw"
        }
        for name, scale in (("A", 10.0), ("B", 10.0 * ratio))
    }
    return write_runs(tmp_path, outcomes)


def test_more_studies_resolve_more(tmp_path):
    result = api.power([noisy(tmp_path, 1.15)], difference=0.05)
    detectable = [row.detectable for row in result.studies]
    assert detectable == sorted(detectable, reverse=True)
    assert result.studies[-1].p_winner > result.studies[0].p_winner
    assert result.studies_needed in [row.studies for row in result.studies]
    assert all(row.detectable > 0.05 for row in result.studies if row.studies < result.studies_needed)
    json.dumps(result.to_json(), allow_nan=False)
    text = printed(api.print_power, result)
    assert "A difference of 0.05" in text and "5 *" in text


def test_a_large_difference_needs_few_studies_and_a_small_one_many(tmp_path):
    [easy] = api.power([noisy(tmp_path / "easy", 2.0)]).pairs
    [hard] = api.power([noisy(tmp_path / "hard", 1.01, sd=0.3)]).pairs
    assert easy.studies_needed == 1
    assert hard.studies_needed is None or hard.studies_needed > 21


def test_the_model_recovers_what_made_the_data(tmp_path):
    board = api.score([noisy(tmp_path, 1.5, sd=0.2, studies=60, hit=0.7)], draws=0)
    model = fit(board.field, board.benchmark)
    assert model.hit.mean() == pytest.approx(0.7, abs=0.06)
    assert model.log_sd.mean() == pytest.approx(0.2, rel=0.15)
    assert np.exp(model.log_mean).mean(axis=1) == pytest.approx([10.0, 15.0], rel=0.1)
    # with 70% hits the median study is the 0.5/0.7 quantile of the hits
    assert true_times(model).mean(axis=1) == pytest.approx(np.array([10.0, 15.0]) * math.exp(0.2 * 0.566), rel=0.1)


def test_power_against_the_measured_table(v05_logs):
    result = api.power([v05_logs], benchmark="v0.5", difference=0.1)
    rows = {row.studies: row for row in result.studies}
    for n, p_winner, sd in ((1, 0.66, 0.090), (5, 0.74, 0.062), (21, 0.86, 0.045), (101, 0.99, 0.018)):
        assert rows[n].p_winner == pytest.approx(p_winner, abs=0.05)
        assert rows[n].pair_sd == pytest.approx(sd, rel=0.08)
    workloads = [pair.workloads_needed for pair in result.pairs]
    assert workloads[:2] == pytest.approx([189, 452], abs=2) and workloads[3:6] == pytest.approx([76, 16, 155], abs=2)


@pytest.mark.parametrize(
    "outcomes, difference, message",
    [
        ({"A": {"u": [[1.0]] * 3}}, None, "at least two submissions"),
        ({"A": {"u": [[1.0]]}, "B": {"u": [[2.0]]}}, None, "one study per cell tells nothing about spread"),
        ({"A": {"u": [[1.0]] * 3}, "B": {"u": [[2.0]] * 3}}, 1.5, r"difference 1.5 must lie in \(0, 1\]"),
    ],
)
def test_power_refuses_what_it_cannot_answer(tmp_path, outcomes, difference, message):
    with pytest.raises(ScoringError, match=message):
        api.power([write_runs(tmp_path, outcomes)], difference=difference)
