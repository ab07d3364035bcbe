"""``run --race``: which trials it stops, that it does so in good order, and what their records count for."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from harness.checkpoint import place_of
from harness.errors import UsageError
from harness.limit import TrialLimit, forget_limit, read_limit, write_limit
from harness.plan import Status, plan_status, plan_trials
from harness.racing import Race
from harness.run import run
from harness.spec import Target
from harness.suite import Request
from results.record import Crossing, StopReason, TrialRecord
from results.store import find_trials, read_trial, write_trial
from scoring import api

SLOW = {
    "    logits, model_state": "    time.sleep(hyperparameters.pause)\n    logits, model_state",
    "import torch\n": "import time\nimport torch\n",
    "lr=LEARNING_RATE": "lr=LEARNING_RATE if not hyperparameters.pause else 0.0",
}


@pytest.fixture(autouse=True)
def target(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.6, 0.5))


def request_of(*entries, **changes):
    base = Request(
        workloads=("mnist",),
        submissions=tuple((str(e), "torch") for e in entries),
        ruleset="external",
        studies=1,
        trials=2,
        max_steps=250,
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture
def entry(write_entry):
    folder = write_entry("steady", replace=SLOW)
    (folder / "tuning_search_space.json").write_text(json.dumps([{"pause": 0.0}, {"pause": 0.02}]))
    return folder


def go(request, out, **options):
    console = Console(file=io.StringIO(), width=200)
    return run(request, out, console=console, **options), console.file.getvalue()


def test_a_sibling_past_the_best_time_of_its_study_is_stopped_and_a_plain_run_makes_it_whole(entry, tmp_path):
    request, out = request_of(entry), tmp_path / "out"
    summary, text = go(request, out, race=True)
    assert (summary.ran, summary.measured, summary.failed, summary.raced) == (2, 1, 0, 1)
    assert "racing has stopped 1 of 2 trials" in text
    first, second = map(read_trial, find_trials(out))
    assert first.crossing is not None and second.stop_reason is StopReason.RACED
    assert first.crossing.wall < second.submission_sec < 250 * 0.02
    assert f"trial 1 of this study reached the target in {first.crossing.wall:.1f} s" in second.stop_detail
    assert sum(second.segments.values()) == pytest.approx(second.wall_sec, rel=1e-3) and second.crossing is None
    assert second.digest == plan_trials(request)[1].digest

    assert [s.status for s in plan_status(plan_trials(request), out)] == [Status.DONE, Status.RACED]
    assert {i.kind for i in api.score([out]).irregularities} <= {"disturbed_machine"}  # by others on this machine
    again, _ = go(request, out, race=True)
    assert (again.ran, again.raced) == (0, 1)
    whole, text = go(request, out)
    assert (whole.ran, whole.raced) == (1, 0)
    assert "1 trials were stopped by racing and count only with --race; they are run again" in text
    assert read_trial(list(find_trials(out))[1]).stop_reason is StopReason.STEP_LIMIT


# ---- limits, from records that were not trained ----


def record_of(planned, wall=None, reason=StopReason.TARGET_REACHED, used=None):
    return TrialRecord(
        spec=planned.task.spec,
        digest=planned.digest,
        stop_reason=reason if wall is not None else StopReason.STEP_LIMIT,
        stop_detail="",
        steps=10,
        crossing=Crossing(wall, wall, 10) if wall is not None else None,
        batch_size=64,
        segments={"step": used or wall or 1.0},
        wall_sec=8.0,
        peak_memory_bytes=1,
        machine={},
        started_at="2026-01-01T00:00:00+00:00",
    )


def self_tuning(*names, **changes):
    return request_of(*names, **{"ruleset": "self_tuning", "trials": 1, "studies": 3, "max_steps": None} | changes)


def by_submission(planned):
    found = {}
    for trial in planned:
        found.setdefault(trial.key.submission, []).append(trial)
    return found


PAIR = ("nadamw_cosine", "nesterov_cosine")


def test_the_cut_starts_when_a_submission_has_reached_the_target_in_all_studies(tmp_path):
    planned = plan_trials(self_tuning(*PAIR))
    first, second = by_submission(planned).values()
    race = Race(planned, tmp_path)
    for trial, wall in zip(first[:2], (2.0, 5.0), strict=True):
        race.finished(record_of(trial, wall))
    assert race.limit(second[0].task.spec)[0] == float("inf")
    race.finished(record_of(first[2], 3.0))
    seconds, why = race.limit(second[0].task.spec)
    assert seconds == 20.0 and "4 times the slowest study of nadamw_cosine_torch" in why


def test_limits_reach_trials_that_wait_or_run(tmp_path):
    planned = plan_trials(self_tuning(*PAIR))
    first, second = by_submission(planned).values()
    race, place = Race(planned, tmp_path), place_of(tmp_path, second[0].digest)
    race.follow([(second[0].task.spec, place)])
    limit = TrialLimit(place)
    assert read_limit(place)[0] == float("inf") and limit.passed(100.0, 5) is None
    for trial in first:
        race.finished(record_of(trial, 2.0))
    assert read_limit(place)[0] == 8.0 and limit.passed(8.0, 5) is None
    stop, why = limit.passed(8.1, 6)
    assert stop is StopReason.RACED and why.startswith(
        "8.1 s used at step 6, past the cut: 4 times the slowest study of"
    )
    write_limit(place, (9.0, "more time"))
    assert limit.passed(8.5, 7) is None and limit.passed(9.5, 8)[1] == "9.5 s used at step 8, more time"
    forget_limit(place)
    assert limit.passed(9.5, 9) is None and TrialLimit(None).passed(9.5, 9) is None


def test_a_failed_trial_makes_no_limit(tmp_path):
    planned = plan_trials(request_of("nadamw_cosine", max_steps=None))
    race = Race(planned, tmp_path)
    race.finished(record_of(planned[0], 2.0, reason=StopReason.CRASHED))
    assert race.limit(planned[1].task.spec)[0] == float("inf")


def test_other_results_may_make_the_cut(tmp_path):
    anchor, out = tmp_path / "anchor", tmp_path / "out"
    for trial in plan_trials(self_tuning("nesterov_cosine")):
        write_trial(anchor, record_of(trial, 4.0), [])
    planned = plan_trials(self_tuning("nadamw_cosine"))
    seconds, why = Race(planned, out, [anchor]).limit(planned[0].task.spec)
    assert seconds == 16.0 and why.endswith(f"nesterov_cosine_torch in {anchor}")
    with pytest.raises(UsageError, match="is there and in this run"):
        Race(plan_trials(self_tuning(*PAIR)), out, [anchor])
    with pytest.raises(UsageError, match=r"budget_sec of mnist is .* in .*anchor.*, here 7\.0"):
        Race(plan_trials(self_tuning("nadamw_cosine", budget_sec=7.0)), out, [anchor])
    elsewhere = tmp_path / "elsewhere"
    for trial in plan_trials(self_tuning("nesterov_cosine")):
        write_trial(elsewhere, dataclasses.replace(record_of(trial, 4.0), machine={"cpu": "another"}), [])
    with pytest.raises(UsageError, match="another machine class: cpu is 'another' there"):
        Race(planned, out, [elsewhere])
    with pytest.raises(UsageError, match="holds no trials"):
        Race(planned, out, [tmp_path / "nothing"])
    with pytest.raises(UsageError, match="give --race as well"):
        run(self_tuning("nadamw_cosine"), out, anchors=[anchor])


def test_a_raced_trial_is_run_again_when_what_stopped_it_has_gone(tmp_path):
    planned = plan_trials(request_of("nadamw_cosine", max_steps=None))
    stopped = dataclasses.replace(record_of(planned[1], used=3.0), stop_reason=StopReason.RACED)
    race = Race(planned, tmp_path)
    assert not race.holds(stopped)
    race.finished(record_of(planned[0], 2.5))
    assert race.holds(stopped)
