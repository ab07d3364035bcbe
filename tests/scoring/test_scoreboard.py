import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from results.evaluations import Goal
from results.synthetic import write_logs, write_runs
from scoring import api, words
from scoring.bootstrap import resampled_medians
from scoring.errors import ScoringError
from scoring.scoreboard import group_letters, tie_groups, verdict

INF = math.inf
FAST = [[10.0], [11.0], [10.5]]
SLOW = [[30.0], [31.0], [30.5]]


def board(tmp_path, outcomes, **options):
    return api.score([write_runs(tmp_path / "runs", outcomes)], **options)


def test_time_to_target_is_the_earliest_of_a_study_and_the_median_over_studies(tmp_path):
    made = board(tmp_path, {"A": {"u": [[12.0, 9.0], [INF, 20.0], [11.0, INF]]}})
    assert made.field.times("A", "u").tolist() == [9.0, 20.0, 11.0]
    assert made.to_json()["time_to_target"] == {"A": {"u": 11.0}}


def test_a_clear_winner_is_named(tmp_path):
    made = board(tmp_path, {"A": {"u": FAST, "v": FAST}, "B": {"u": SLOW, "v": SLOW}})
    assert [(entry.submission, entry.rank, entry.group) for entry in made.entries] == [("A", 1, "a"), ("B", 2, "b")]
    assert made.verdict == "A is fastest (best in 100.0% of resampled studies)."
    assert made.ties == () and made.entries[0].studies.interval == (1.0, 1.0)
    low, high = made.entries[1].studies.interval
    assert low <= made.entries[1].score <= high


def test_entries_that_cannot_be_told_apart_are_tied(tmp_path):
    made = board(
        tmp_path, {"A": {"u": [[10.0], [20.0], [15.0]]}, "B": {"u": [[15.5], [9.0], [21.0]]}, "C": {"u": SLOW}}
    )
    assert made.ties == (("A", "B"),)
    assert [entry.group for entry in made.entries] == ["a", "a", "b"]
    assert made.verdict.startswith("Tied at the top: ")


def test_below_three_studies_there_is_no_interval_and_the_verdict_says_so(tmp_path):
    made = board(tmp_path, {"A": {"u": FAST[:2]}, "B": {"u": SLOW[:2]}})
    data = made.to_json()
    assert made.entries[0].studies is None and made.entries[0].group == ""
    assert data["intervals"]["A"] == {"studies": None, "hierarchical": None} and data["pairs"] == []
    assert "A scored highest, but 2 studies cannot tell luck from speed" in made.verdict


def test_one_workload_says_nothing_about_others(tmp_path):
    made = board(tmp_path, {"A": {"u": FAST}, "B": {"u": SLOW}})
    assert made.entries[0].studies is not None and made.entries[0].hierarchical is None
    [pair] = made.to_json()["pairs"]
    assert pair["resolved"] and pair["p_hierarchical"] is None


def test_where_only_single_runs_reached_a_target_nothing_is_ranked(tmp_path):
    made = board(tmp_path, {"A": {"u": [[8.2], [INF], [INF]]}, "B": {"u": [[INF]] * 3}})
    assert made.verdict.startswith("No submission's median run reached a target that counts")
    assert [row[0] for row in words.leaderboard_rows(made)] == ["–", "–"]


def test_equal_scores_share_a_rank(tmp_path):
    made = board(tmp_path, {"A": {"u": FAST}, "B": {"u": FAST}, "C": {"u": SLOW}}, draws=0)
    assert [entry.rank for entry in made.entries] == [1, 1, 3]
    assert made.ties == (("A", "B"),)


@pytest.mark.parametrize(
    "names, scores, p_best, studies, start",
    [
        (["A"], [0.5], [1.0], 3, "Only A was scored"),
        (["A", "B"], [0.0, 0.0], [0.5, 0.5], 3, "No submission's median run reached a target"),
        (["A", "B"], [0.9, 0.5], [0.95, 0.05], 3, "A is fastest"),
        (["A", "B", "C"], [0.9, 0.8, 0.1], [0.6, 0.4, 0.0], 3, "Tied at the top: A (60%), B (40%);"),
        (["A", "B"], [0.9, 0.9], None, 1, "A and B scored highest, but 1 study cannot"),
    ],
)
def test_verdict(names, scores, p_best, studies, start):
    assert verdict(names, scores, p_best, studies).startswith(start)


def test_tie_groups_are_runs_without_a_resolved_pair():
    resolved = np.zeros((4, 4), bool)
    for a, b in ((0, 2), (0, 3), (1, 3)):
        resolved[a, b] = resolved[b, a] = True
    order = [0, 1, 2, 3]
    groups = tie_groups(order, resolved)
    assert groups == [(0, 1), (1, 2), (2, 3)]
    assert group_letters(order, groups) == {0: "a", 1: "ab", 2: "bc", 3: "c"}
    assert tie_groups(order, ~np.eye(4, dtype=bool)) == []
    assert group_letters(order, []) == {0: "a", 1: "b", 2: "c", 3: "d"}
    assert tie_groups(order, np.zeros((4, 4), bool)) == [(0, 1, 2, 3)]


@pytest.mark.parametrize("clock, expected", [("wall", 10.0), ("cpu", 9.0), ("steps", 100.0)])
def test_clocks(tmp_path, clock, expected):
    assert board(tmp_path, {"A": {"u": [[10.0]]}}, clock=clock).to_json()["time_to_target"]["A"]["u"] == expected


def test_logs_without_a_cpu_clock(tmp_path):
    write_logs(tmp_path, {"A": {"mnist": [[10.0]]}}, {"mnist": Goal("accuracy", "maximize", 0.97, 60.0)})
    benchmark = _benchmark(tmp_path, "mnist")
    with pytest.raises(ScoringError, match="does not record the cpu clock; .*--clock wall"):
        api.score([tmp_path], benchmark=benchmark, clock="cpu")


def _benchmark(folder, *workloads, extra=""):
    path = folder / "bench.yaml"
    goal = "{metric: accuracy, direction: maximize, target: 0.97, budget_sec: 60.0}"
    path.write_text(
        'version: "mine"\nrulesets: {external: {studies: 1, trials: 1}}\n'
        f"base_workloads: [{', '.join(workloads)}]\nworkloads:\n"
        + "".join(f"  {workload}: {goal}\n" for workload in workloads)
        + extra
    )
    return path


def test_a_target_reached_after_the_budget_is_a_miss_under_the_exact_rules_only(tmp_path):
    outcomes = {"A": {"mnist": [[70.0]]}, "B": {"mnist": [[50.0]]}}
    write_logs(tmp_path, outcomes, {"mnist": Goal("accuracy", "maximize", 0.97, 60.0)})
    benchmark = _benchmark(tmp_path, "mnist")
    exact = api.score([tmp_path], benchmark=benchmark)
    assert exact.to_json()["time_to_target"]["A"]["mnist"] is None
    assert [odd.kind for odd in exact.irregularities] == ["over_budget"]
    official = api.score([tmp_path], benchmark=benchmark, rules="official")
    assert official.to_json()["time_to_target"]["A"]["mnist"] == 70.0


def test_a_workload_nobody_ran_is_left_out_and_listed(tmp_path):
    write_logs(tmp_path, {"A": {"mnist": [[10.0]]}}, {"mnist": Goal("accuracy", "maximize", 0.97, 60.0)})
    made = api.score([tmp_path], benchmark=_benchmark(tmp_path, "mnist", "cifar"))
    assert made.entries[0].score == 1.0 and made.field.layout.base == ("mnist",)
    assert [(odd.kind, odd.workload) for odd in made.irregularities] == [("workload_without_data", "cifar")]


def test_missing_cells_studies_and_trials_are_listed(tmp_path):
    made = board(tmp_path, {"A": {"u": [[1.0, 2.0]] * 3, "v": FAST}, "B": {"u": [[3.0, 4.0], [3.0]]}})
    found = {(odd.kind, odd.submission, odd.workload) for odd in made.irregularities}
    assert found == {
        ("no_data", "B", "v"),
        ("missing_studies", "B", "u"),
        ("missing_trials", "B", "u"),
        ("missing_trials", "A", "v"),
    }


def test_strict_turns_irregularities_into_an_error(tmp_path):
    outcomes = {"A": {"u": FAST, "v": FAST}, "B": {"u": FAST}}
    with pytest.raises(ScoringError, match=r"1 irregularities.*\n.*no_data \(B, v\)"):
        board(tmp_path, outcomes, strict=True)
    assert board(tmp_path, {"B": {"v": FAST}}, strict=True).entries


def test_scores_do_not_depend_on_the_order_of_folders(tmp_path):
    outcomes = {"A": {"u": FAST, "v": SLOW}, "B": {"u": SLOW, "v": FAST}, "C": {"u": [[12.0]] * 3, "v": FAST}}
    runs = write_runs(tmp_path, outcomes)
    one = api.score([runs / name for name in "ABC"]).to_json()
    other = api.score([runs / name for name in "CAB"]).to_json()
    assert one == other == api.score([runs]).to_json()


def test_the_same_data_give_the_same_intervals(tmp_path):
    runs = write_runs(tmp_path, {"A": {"u": FAST}, "B": {"u": [[10.2], [12.0], [10.4]]}})
    assert api.score([runs]).to_json() == api.score([runs]).to_json()


def test_a_variant_of_a_workload_that_was_run_is_held_out(tmp_path):
    outcomes = {"A": {"u": FAST}, "B": {"u": SLOW}}
    write_runs(tmp_path, outcomes)
    variants = {"A": {"u_x": [[INF]] * 3}, "B": {"u_x": SLOW}}
    write_runs(tmp_path, variants, base_workload="u", variant="x")
    made = api.score([tmp_path], draws=0)
    assert made.field.layout.held_out == ("u_x",)
    assert made.to_json()["scores"] == {"B": 1.0, "A": 0.0}
    alone = api.score([write_runs(tmp_path / "alone", variants, base_workload="u", variant="x")], draws=0)
    assert alone.field.layout.base == ("u_x",)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"clock": "sundial"}, "no clock 'sundial'; there is: wall, cpu, steps"),
        ({"rules": "fair"}, "no rules 'fair'; there is: exact, official"),
        ({"benchmark": "v9"}, r"no benchmark 'v9'; there is: v0.5, v0.6, v1.0, or give a YAML file"),
        ({"reference": "C"}, "no reference submission 'C'; there is: A"),
        ({"ruleset": "self_tuning"}, "the runs are of ruleset external, not self_tuning"),
        ({"benchmark": "v0.5", "ruleset": "mixed"}, "no ruleset 'mixed'; there is: external, self_tuning"),
        ({"benchmark": "v0.5"}, "benchmark v0.5 has no workload 'u'"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ScoringError, match=message):
        board(tmp_path, {"A": {"u": [[1.0]]}}, **options)


def test_an_unknown_workload_names_the_nearest(tmp_path):
    write_logs(tmp_path, {"A": {"fastmri_tan": [[1.0]]}}, {"fastmri_tan": Goal("ssim", "maximize", 0.7)})
    with pytest.raises(ScoringError, match="has no workload 'fastmri_tan'; nearest: fastmri_tanh"):
        api.score([tmp_path], benchmark="v0.5")


def test_own_runs_with_other_targets_are_no_runs_of_that_benchmark(tmp_path):
    with pytest.raises(ScoringError, match="two versions mixed: the runs of mnist aimed at accuracy 0.9, .* 0.97"):
        board(tmp_path, {"A": {"mnist": [[1.0]]}}, benchmark=_benchmark(tmp_path, "mnist"))


def test_no_directory_and_nothing_measured(tmp_path):
    with pytest.raises(ScoringError, match="no directory to score"):
        api.score([])
    with pytest.raises(ScoringError, match="nothing was measured in .*: no trial has an evaluation"):
        board(tmp_path, {"A": {"u": [[[]]]}})


@pytest.mark.parametrize(
    "text, message",
    [
        ("version: [", r"bench.yaml:\d+: not YAML"),
        ("version: 'a'", "rulesets: Field required"),
        ("colour: red", "unknown key|Field required"),
    ],
)
def test_bad_benchmark_files(tmp_path, text, message):
    (tmp_path / "bench.yaml").write_text(text)
    with pytest.raises(ScoringError, match=message):
        board(tmp_path, {"A": {"u": [[1.0]]}}, benchmark=tmp_path / "bench.yaml")


@pytest.mark.parametrize(
    "extra, message",
    [
        ("  u: {metric: m, direction: maximize, target: 1.0, colour: red}\n", "workloads.u.colour: unknown key"),
        ("  u: {metric: m, direction: upward, target: 1.0}\n", "workloads.u.direction: Input should be"),
        ("  u: {metric: m, direction: maximize}\n", "workloads.u.target: Field required"),
        ("held_out_workloads: [x]\n", "workloads: 'x' is scored but not described"),
        ("held_out_workloads: [mnist]\n", "workloads.mnist.base: None is no base workload"),
        ("units: seconds\n", "units: unknown key"),
    ],
)
def test_bad_keys_in_benchmark_files(tmp_path, extra, message):
    with pytest.raises(ScoringError, match=message):
        board(tmp_path, {"A": {"mnist": [[1.0]]}}, benchmark=_benchmark(tmp_path, "mnist", extra=extra))


def test_bootstrap_of_the_median_of_five(oracles):
    data = np.array(oracles["bootstrap_median_of_five"]["inputs"]["data"])
    draws = resampled_medians(data, 200_000, np.random.RandomState(0))
    found = [(draws == value).mean() for value in data]
    assert found == pytest.approx(oracles["bootstrap_median_of_five"]["expected"]["probabilities"], abs=0.004)


def test_bootstrap_of_a_median_with_misses(oracles):
    case = oracles["bootstrap_median_two_misses"]
    draws = resampled_medians(np.array(case["inputs"]["data"]), 200_000, np.random.RandomState(0))
    assert np.isinf(draws).mean() == pytest.approx(case["expected"]["p_median_is_inf"], abs=0.004)


def test_bootstrap_of_an_even_number_of_studies():
    draws = resampled_medians(np.array([1.0, 3.0]), 100_000, np.random.RandomState(0))
    assert [(draws == value).mean() for value in (1.0, 2.0, 3.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_json_is_complete_and_finite(tmp_path):
    data = board(tmp_path, {"A": {"u": FAST, "v": [[INF]] * 3}, "B": {"u": SLOW, "v": SLOW}}).to_json()
    again = json.loads(json.dumps(data, allow_nan=False))
    for name in (
        "schema_version",
        "scores",
        "intervals",
        "ranks",
        "ties",
        "time_to_target",
        "irregularities",
        "verdict",
    ):
        assert name in again
    cell = again["cells"]["A"]["v"]["studies"][0]
    assert cell["time"] is None and "budget exhausted" in cell["reason"]
    hit = again["cells"]["A"]["u"]["studies"][0]
    assert (
        hit["trial"] == 1 and hit["folder"].endswith("A/study_1/u_pytorch/trial_1") and hit["previous_evaluation"] == 5
    )


def test_outputs(tmp_path):
    made = board(tmp_path, {"A|x": {"u": FAST}, "B": {"u": SLOW}})
    paths = api.write_outputs(made, tmp_path / "out")
    assert sorted(path.name for path in paths) == [
        "leaderboard.md",
        "profile.csv",
        "score.json",
        "scores.csv",
        "time_to_target.csv",
    ]
    assert json.loads((tmp_path / "out/score.json").read_text()) == json.loads(json.dumps(made.to_json()))
    markdown = (tmp_path / "out/leaderboard.md").read_text()
    assert "| 1 | a | A\\|x | 1.0000 | 1.000 to 1.000 |" in markdown and "| B | 30.5 s |" in markdown
    rows = (tmp_path / "out/time_to_target.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[1].startswith("A|x,u,False,1,10.0,1,,")
    (tmp_path / "blocked").write_text("")
    with pytest.raises(ScoringError, match="cannot write to"):
        api.write_outputs(made, tmp_path / "blocked")


def test_terminal_table(tmp_path):
    console = Console(width=140, file=io.StringIO())
    api.print_scoreboard(board(tmp_path, {"A": {"u": FAST, "v": [[INF]] * 3}, "B": {"u": SLOW}}), console)
    text = console.file.getvalue()
    assert "10.5 s  1.00×" in text and "miss" in text and "no data" in text
    assert text.splitlines()[-1].startswith("A is fastest")
    assert "Irregularities, by number of cells: no data (1)" in text
