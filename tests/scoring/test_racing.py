"""Racing leaves scores as they are, in the field and in every resampled one; what it cannot promise is listed."""

import dataclasses
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.evaluations import Goal
from results.irregularities import Irregularities
from results.reader import read_table
from results.record import StopReason, TrialKey
from results.store import write_trial
from results.synthetic import evaluations, record, write_logs
from scoring import api, compute
from scoring.benchmark import Benchmark, load
from scoring.bootstrap import resampled_medians, resampled_ratios
from scoring.cells import build_field
from scoring.profile import Layout, exact_credits
from scoring.racing import cut_of, replay

BASE, VARIANTS = ("u", "v"), ("u_x", "v_x", "v_y")
GOALS = {name: Goal("accuracy", "maximize", 0.9, 20.0) for name in (*BASE, *VARIANTS)}
LAYOUT = Layout(BASE, VARIANTS, (0, 1, 1))
BENCHMARK = Benchmark("test", "external", LAYOUT, GOALS, 3, 2)


time = st.sampled_from([1.0, 1.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 13.0, 20.0, math.inf])
late_hit = st.tuples(time, time).map(lambda t: [(min(t[0], 25.0), 0.1), (min(t[0] + t[1], 30.0), 0.95)])


@st.composite
def fields(draw):
    """Outcomes of two or three submissions, with a cell missing here and there, in one to four studies."""
    n_studies, n_trials = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    trials = st.lists(time | time | late_hit, min_size=n_trials, max_size=n_trials)
    cell = st.lists(trials, min_size=n_studies, max_size=n_studies)
    names = draw(st.sampled_from([("u",), ("u", "v"), ("v", "v_x"), tuple(GOALS)]))
    cells = st.fixed_dictionaries({names[0]: cell}, optional=dict.fromkeys(names[1:], cell))
    return draw(st.fixed_dictionaries({"A": cells, "B": cells}, optional={"C": cells}))


def field_of(table, benchmark=BENCHMARK):
    return build_field(dataclasses.replace(table, irregularities=Irregularities()), benchmark)


def drawn_credits(field, draws=200):
    """With the same draws of studies for two fields that differ in times alone."""
    medians = np.full((draws, len(field.submissions), len(field.layout.workloads)), np.nan)
    for i, submission in enumerate(field.submissions):
        for j, workload in enumerate(field.layout.workloads):
            times = field.times(submission, workload)
            if times.size:
                medians[:, i, j] = resampled_medians(times, draws, np.random.RandomState(i + 10 * j))
    return exact_credits(resampled_ratios(medians, field.layout))


def scores(table, benchmark=BENCHMARK, rules="exact"):
    board = compute.rank(field_of(table, benchmark), benchmark, table, (), rules, draws=0)
    return {entry.submission: entry.score for entry in board.entries}


@settings(max_examples=300)
@given(outcomes=fields(), first=st.sampled_from("ABC"), side_by_side=st.booleans())
def test_scores_are_the_same_with_and_without_racing(outcomes, first, side_by_side):
    with tempfile.TemporaryDirectory() as folder:
        table = read_table([write_logs(Path(folder), outcomes, GOALS)], GOALS.get)
    found = replay(table, BENCHMARK, anchors=[first], side_by_side=side_by_side)
    assert scores(found.table) == scores(table)
    np.testing.assert_array_equal(*(drawn_credits(field_of(t)) for t in (table, found.table)))
    assert 0 <= found.saved_sec <= found.used_sec
    assert found.stopped == sum(trial.reason == "raced" for trial in found.table.trials)


@pytest.mark.parametrize(
    "outcomes",
    [
        {"A": {"u": [[1.0], [1.0]]}, "B": {"u": [[2.0], [5.0]]}},
        {
            "A": {"v": [[1.0]], "v_x": [[10.0]]},
            "B": {"v": [[5.0]], "v_x": [[1.0]]},
            "C": {"v": [[1.0]], "v_x": [[3.5]]},
        },
        {"A": {"v": [[math.inf]], "v_x": [[1.0]]}, "B": {"v": [[1.0]], "v_x": [[5.0]]}},
        {"A": {"u": [[1.0], [1.5], [math.inf]]}, "B": {"u": [[5.0], [5.0], [5.0]]}},
    ],
    ids=["a mean of two times", "a late base sets its variant's fastest", "a base that was missed", "a study missed"],
)
def test_scores_in_which_a_simpler_cut_would_show(tmp_path, outcomes):
    table = read_table([write_logs(tmp_path, outcomes, GOALS)], GOALS.get)
    found = replay(table, BENCHMARK, anchors=["A"])
    assert scores(found.table) == scores(table)
    np.testing.assert_array_equal(*(drawn_credits(field_of(t)) for t in (table, found.table)))


@pytest.mark.parametrize("first", ["shampoo_submission", "nadamp"])
def test_scores_of_the_published_logs_are_the_same(v05_logs, first):
    benchmark = load("v0.5", "external")
    table = read_table([v05_logs], benchmark.goal_of)
    found = replay(table, benchmark, anchors=[first])
    assert scores(found.table, benchmark) == scores(table, benchmark)
    np.testing.assert_array_equal(*(drawn_credits(field_of(t, benchmark)) for t in (table, found.table)))
    assert found.stopped > 1300 and 0.09 < found.saved_sec / found.used_sec < 0.1
    assert found.saved_by["cut"] > 0


def test_racing_saves_what_lies_beyond_the_earlier_hit_of_the_study(tmp_path):
    curve = [(5.0, 0.1), (15.0, 0.95)]
    table = read_table([write_logs(tmp_path, {"A": {"u": [[8.0, curve, 4.0]]}}, GOALS)], GOALS.get)
    one_by_one = replay(table, BENCHMARK)
    assert (one_by_one.stopped, one_by_one.saved_sec, one_by_one.used_sec) == (1, 15.0 - 8.0, 27.0)
    together = replay(table, BENCHMARK, side_by_side=True)
    assert (together.stopped, together.saved_sec) == (2, (8.0 - 4.0) + (15.0 - 4.0))


class TestCut:
    layout = Layout(("u", "v"), ("v_x",), (1,))

    def test_it_is_four_times_the_slowest_study_of_whoever_reached_the_target_in_all(self):
        times = {"A": {"u": [1.0, 2.0, 3.0]}, "B": {"u": [1.0, 1.0, math.inf]}, "C": {"u": [4.0]}}
        assert dataclasses.astuple(cut_of("u", times, self.layout, studies=3)) == (12.0, "A")
        assert cut_of("u", {"B": times["B"]}, self.layout, studies=3).seconds == math.inf

    def test_it_is_twice_as_far_where_a_median_is_a_mean_of_two(self):
        assert cut_of("u", {"A": {"u": [1.0, 2.0]}}, self.layout, studies=2).seconds == 16.0

    def test_a_base_with_a_variant_has_none_and_a_variant_needs_its_base(self):
        times = {"A": {"v": [1.0], "v_x": [2.0]}}
        assert cut_of("v", times, self.layout, studies=3).seconds == math.inf
        assert cut_of("v_x", times, self.layout, studies=3).seconds == 8.0
        assert cut_of("v_x", {"A": {"v": [math.inf], "v_x": [2.0]}}, self.layout, studies=3).seconds == math.inf


class TestRecordedRacing:
    """One study: trial 1 reaches the target at 10 s, trial 2 was stopped."""

    def board(self, root, stopped_at, others=(), **options):
        cases = [("A", 1, 10.0, None), ("A", 2, math.inf, stopped_at), *others]
        for submission, trial, outcome, stopped in cases:
            rows = evaluations(outcome)
            key = TrialKey(submission, "u", "torch", 1, trial)
            if stopped is None:
                write_trial(root, record(key, rows), rows)
                continue
            rows = rows[:0]
            changes = {"stop_reason": StopReason.RACED, "segments": {"step": stopped, "evaluate": 1.0}}
            write_trial(root, dataclasses.replace(record(key, rows), **changes), rows)
        return api.score([root], **options)

    def kinds(self, board):
        return {i.kind: i.message for i in board.irregularities if i.kind == "raced"}

    def test_a_trial_that_was_stopped_beyond_its_sibling_is_nothing_odd(self, tmp_path):
        board = self.board(tmp_path, 10.5)
        assert not self.kinds(board) and board.field.times("A", "u").tolist() == [10.0]

    def test_one_that_was_stopped_too_early_is_listed(self, tmp_path):
        assert "what stopped it is not scored along" in self.kinds(self.board(tmp_path, 9.5))["raced"]

    @pytest.mark.parametrize("options", [{"clock": "steps"}, {"rules": "official"}])
    def test_other_clocks_and_rules_are_not_promised(self, tmp_path, options):
        assert "by" in self.kinds(self.board(tmp_path, 10.5, **options))["raced"]

    def test_the_cut_holds_only_beside_the_submission_that_made_it(self, tmp_path):
        alone = [("B", 1, math.inf, 45.0)]
        assert not self.kinds(self.board(tmp_path / "a", 10.5, alone))
        assert self.kinds(self.board(tmp_path / "b", 10.5, [("B", 1, math.inf, 35.0)]))

    def test_points_are_not_compared_over_studies(self, tmp_path):
        self.board(tmp_path, 10.5)
        for trial in (1, 2):
            rows = evaluations(12.0)
            write_trial(tmp_path, record(TrialKey("A", "u", "torch", 2, trial), rows), rows)
        assert "racing stopped trials" in api.score([tmp_path]).sensitivity.nested_why_not
