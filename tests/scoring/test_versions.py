"""Paths that the v0.5 self-tuning and v0.6 logs need, on synthetic logs of their shape."""

import math
import shutil

import numpy as np
import pytest

from results.synthetic import write_logs
from scoring import api
from scoring.benchmark import load, names
from scoring.errors import ScoringError

INF = math.inf


def logs(folder, version, ruleset, submissions, skip=(), miss=lambda s, w: False):
    """Logs in which submission i needs 20% + 2i% of each budget, with the version's studies and trials."""
    benchmark = load(version, ruleset)
    outcomes = {
        f"entry_{i}": {
            workload: [
                [
                    INF
                    if miss(i, workload)
                    else (benchmark.goals[workload].budget_sec or 1e4) * (0.2 + 0.02 * i + 1e-4 * k)
                    for _ in range(benchmark.trials)
                ]
                for k in range(benchmark.studies)
            ]
            for workload in benchmark.layout.workloads
            if workload not in skip
        }
        for i in range(submissions)
    }
    return write_logs(folder, outcomes, benchmark.goals)


def test_self_tuning_has_one_trial_per_study_and_three_budgets(tmp_path):
    root = logs(tmp_path, "v0.5", "self_tuning", 6, miss=lambda s, w: s == 5 and w == "wmt_glu_tanh")
    board = api.score([root], benchmark="v0.5", ruleset="self_tuning", rules="official", strict=True)
    assert [entry.submission for entry in board.entries] == [f"entry_{i}" for i in (0, 1, 2, 3, 4, 5)]
    assert board.benchmark.goals["wmt"].budget_sec == 3 * load("v0.5", "external").goals["wmt"].budget_sec == 144453.0
    credit = board.to_json()["cells"]["entry_5"]
    assert credit["wmt"]["credit"] == 0.0 and credit["ogbg"]["credit"] > 0.8
    assert board.sensitivity.nested_why_not.startswith("one trial per study")


def test_v06_without_its_ninth_workload(tmp_path):
    root = logs(tmp_path, "v0.6", "external", 3, skip=("finewebedu_lm",), miss=lambda s, w: s == 2 and w == "ogbg")
    board = api.score([root], benchmark="v0.6", ruleset="external", rules="official")
    assert len(board.field.layout.base) == 8 and board.field.layout.held_out == ()
    assert [(odd.kind, odd.workload) for odd in board.irregularities] == [("workload_without_data", "finewebedu_lm")]
    assert board.entries[0].score == pytest.approx(1.0)
    assert board.entries[-1].submission == "entry_2" and board.entries[-1].score < 7 / 8
    assert board.entries[0].studies is not None and board.field.n_studies == 3


def test_self_tuning_logs_scored_as_external_lack_trials(tmp_path):
    root = logs(tmp_path, "v0.6", "self_tuning", 2)
    kinds = {odd.kind for odd in api.score([root], benchmark="v0.6", ruleset="external").irregularities}
    assert kinds == {"missing_trials"}
    with pytest.raises(
        ScoringError, match=r"18 irregularities.*\n  missing_trials \(entry_0, criteo1tb\): 1 trials instead"
    ):
        api.score([root], benchmark="v0.6", ruleset="external", strict=True)


def test_variants_of_v05_are_known_to_v06_but_earn_nothing(tmp_path):
    root = logs(tmp_path, "v0.5", "external", 2)
    board = api.score([root], benchmark="v0.6", draws=0)
    ignored = {odd.workload for odd in board.irregularities if odd.kind == "unscored_workload"}
    assert ignored == set(load("v0.5", "external").layout.held_out)


@pytest.mark.parametrize("version", names())
def test_every_version_is_whole(version):
    for ruleset in ("external", "self_tuning"):
        benchmark = load(version, ruleset)
        assert benchmark.version == version and set(benchmark.layout.workloads) <= set(benchmark.goals)
        assert len(benchmark.layout.base) == (8 if version == "v0.5" else 9)
        assert len(benchmark.layout.held_out) == (6 if version == "v0.5" else 0)
        directions = {goal.metric: goal.direction for goal in benchmark.goals.values()}
        assert directions["wer"] == directions["loss"] == "minimize" and directions["bleu"] == "maximize"
        assert all(np.isfinite(goal.target) for goal in benchmark.goals.values())


def test_budgets_and_targets_of_the_versions():
    assert load("v0.5", "external").goals["fastmri_tanh"].budget_sec == 8859.0
    assert load("v0.6", "self_tuning").goals["ogbg"].budget_sec == 1.5 * 12011
    assert load("v1.0", "external").goals["finewebedu_lm"].budget_sec == 31967.0
    assert load("v1.0", "external").goals["finewebedu_lm"].target == 22.2995
    assert load("v0.6", "external").goals["wmt_attention_temp"].target == 29.3379


def test_percentile_limits_follow_the_linear_quantile_rule(oracles):
    from scoring.bootstrap import interval

    expected = oracles["bootstrap_exact_n3"]["expected"]
    assert interval(np.array(expected["mean_replicates_sorted"])).tolist() == pytest.approx(expected["mean_ci"])


@pytest.mark.parametrize("scored_as", ["v0.5", "v0.6"])
def test_complete_logs_of_two_versions_are_one_error(tmp_path, scored_as):
    old = logs(tmp_path / "old", "v0.5", "external", 2)
    new = logs(tmp_path / "new", "v0.6", "external", 1, skip=("finewebedu_lm",))
    (new / "entry_0").rename(new / "entry_9")
    pattern = (
        rf"two versions mixed: {old}/entry_0 has 5 studies of every workload.*, as v0\.5; "
        rf"{new}/entry_9 has 3 studies of every workload.*, as v0\.6 and v1\.0; score each version's logs"
    )
    with pytest.raises(ScoringError, match=pattern):
        api.score([old, new], benchmark=scored_as, ruleset="external", draws=0)
    assert api.score([old], benchmark=scored_as, ruleset="external", draws=0).entries


def test_incomplete_logs_are_irregular_and_not_another_version(tmp_path):
    whole = logs(tmp_path / "whole", "v0.5", "external", 1)
    part = logs(tmp_path / "part", "v0.5", "external", 1)
    (part / "entry_0").rename(part / "entry_1")
    for study in (4, 5):
        for folder in (part / "entry_1" / f"study_{study}").iterdir():
            if not folder.name.startswith("wmt"):
                shutil.rmtree(folder)
    board = api.score([whole, part], benchmark="v0.5", ruleset="external", draws=0)
    assert "missing_studies" in {odd.kind for odd in board.irregularities}
