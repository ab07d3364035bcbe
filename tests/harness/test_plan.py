import dataclasses
import re
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.launch import DEFAULT_LIMITS, most_jobs, trial_slots
from harness.machine import usable_cores, whole_cores
from harness.plan import Status, other_records, plan_status, plan_trials, price
from harness.plan_view import plan_text, report_of
from harness.progress import trial_line
from harness.resampling import parse_plan
from harness.run import open_folder
from harness.spec import BASE, Target
from harness.suite import Request, Suite, load_suite, requests_of, suite_names, workloads_of
from harness.workloads import make_workload, split_name, workload_class, workload_names
from results.record import StopReason, TrialRecord
from results.store import write_trial

REQUEST = Request(
    workloads=("mnist",),
    submissions=(("nadamw_cosine", None), ("nesterov_cosine", "torch")),
    ruleset="self_tuning",
    studies=2,
    trials=1,
)


@pytest.fixture(autouse=True)
def targets(monkeypatch):
    """Targets are measured; these tests are about plans, so any value will do."""
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.8, 0.7))


def record_of(planned, **changes):
    record = TrialRecord(
        spec=planned.task.spec,
        digest=planned.digest,
        stop_reason=StopReason.STEP_LIMIT,
        stop_detail="",
        steps=10,
        crossing=None,
        batch_size=64,
        segments={"step": 1.0},
        wall_sec=8.0,
        peak_memory_bytes=1,
        machine={},
        started_at="2026-01-01T00:00:00+00:00",
    )
    return dataclasses.replace(record, **changes)


def test_progress_names_the_fold_of_a_resampling_plan_else_the_study():
    workload = make_workload("mnist", "mini")
    request = dataclasses.replace(REQUEST, submissions=(("nesterov_cosine", "torch"),))
    folds = dataclasses.replace(request, folds=tuple(parse_plan("5x2cv").folds_of(workload)[:2]))
    told = [[trial_line(record_of(trial)).split(":")[0] for trial in plan_trials(r)] for r in (request, folds)]
    where = "nesterov_cosine_torch  mnist/torch  "
    assert told == [[f"{where}study {n} trial 1" for n in (1, 2)], [f"{where}5x2cv/r1f{n} trial 1" for n in (1, 2)]]


def test_all_submissions_of_a_study_share_the_seed_and_take_turns():
    planned = plan_trials(REQUEST)
    names = [(p.key.study, p.key.submission) for p in planned]
    forth = ["nadamw_cosine_torch", "nadamw_cosine_jax", "nesterov_cosine_torch"]
    assert names == [(1, n) for n in forth] + [(2, n) for n in reversed(forth)]
    seeds = {p.key.study: {q.task.spec.seed for q in planned if q.key.study == p.key.study} for p in planned}
    assert all(len(found) == 1 for found in seeds.values()) and seeds[1] != seeds[2]


def test_the_external_ruleset_gives_every_study_its_own_points():
    request = dataclasses.replace(
        REQUEST, ruleset="external", studies=2, trials=3, submissions=(("nadamw_cosine", "torch"),)
    )
    planned = plan_trials(request)
    assert len(planned) == 6
    points = [tuple(sorted(p.task.spec.hyperparameters.items())) for p in planned]
    assert len(set(points)) == 6


def test_the_self_tuning_budget_is_half_as_long_again():
    own = plan_trials(REQUEST)[0].task.spec
    external = plan_trials(dataclasses.replace(REQUEST, ruleset="external"))[0].task.spec
    assert own.budget_sec == 1.5 * external.budget_sec
    assert own.hyperparameters is None


def test_digests_are_stable_and_follow_what_matters():
    digests = [p.digest for p in plan_trials(REQUEST)]
    assert digests == [p.digest for p in plan_trials(REQUEST)]
    assert len(set(digests)) == len(digests)
    for change in ({"seed": 1}, {"max_steps": 5}, {"budget_sec": 3.0}, {"threads": 2}):
        other = [p.digest for p in plan_trials(dataclasses.replace(REQUEST, **change))]
        assert not set(other) & set(digests)
    more = [p.digest for p in plan_trials(dataclasses.replace(REQUEST, studies=3))]
    assert set(digests) < set(more)


def test_status_says_what_is_done_failed_or_stale_and_why(tmp_path):
    planned = plan_trials(REQUEST)
    write_trial(tmp_path, record_of(planned[0]), [{"global_step": 10, "validation/accuracy": 0.5}])
    write_trial(tmp_path, record_of(planned[1], stop_reason=StopReason.CRASHED, stop_detail="boom"), [])
    stale = dataclasses.replace(planned[2].task.spec, seed=7, versions={"torch": "1.0"})
    write_trial(tmp_path, record_of(planned[2], spec=stale, digest="0" * 64), [])
    found = plan_status(planned, tmp_path)
    assert [s.status for s in found] == [Status.DONE, Status.FAILED, Status.STALE, *[Status.MISSING] * 3]
    assert found[1].why == "crashed: boom"
    assert "seed: recorded 7, now" in found[2].why and "'torch': '1.0'" in found[2].why


def test_missing_trials_are_priced_from_records_or_by_their_budget(tmp_path):
    planned = plan_trials(REQUEST)
    before = price(plan_status(planned, tmp_path), jobs=2)
    assert before.known == 0 and before.expected_sec == before.at_most_sec
    write_trial(tmp_path, record_of(planned[0]), [])
    after = price(plan_status(planned, tmp_path), jobs=2)
    assert (after.trials, after.known) == (5, 3)  # both other torch trials of that workload, and the second study's
    assert after.expected_sec < after.at_most_sec


def test_a_damaged_record_is_named_and_priced(tmp_path):
    planned = plan_trials(REQUEST)
    folder = write_trial(tmp_path, record_of(planned[0]), [])
    (folder / "trial.json").write_text('{"schema_version": 1,')
    statuses = plan_status(planned, tmp_path)
    assert statuses[0].status is Status.DAMAGED
    assert re.search(r"trial\.json:1: not JSON .*sets it aside and reruns", statuses[0].why)
    assert price(statuses, jobs=1).trials == len(planned)
    (folder / "trial.json").unlink()
    statuses = plan_status(planned, tmp_path)
    assert statuses[0].status is Status.DAMAGED
    assert re.search(r"trial\.json is missing; .*sets it aside and reruns", statuses[0].why)


def test_a_damaged_run_file_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"seed": ')
    assert "run.json: not JSON" in plan_text(report_of(REQUEST, plan_trials(REQUEST), tmp_path, 1, 0))
    open_folder(tmp_path, REQUEST, Console(quiet=True))
    assert "run.json" not in plan_text(report_of(REQUEST, plan_trials(REQUEST), tmp_path, 1, 0))


@pytest.mark.parametrize("change", [{"seed": 7}, {"ruleset": "external", "trials": 2}])
def test_a_folder_that_a_run_would_refuse_is_not_priced(tmp_path, change):
    open_folder(tmp_path, REQUEST, Console(quiet=True))
    other = dataclasses.replace(REQUEST, **change)
    with pytest.raises(UsageError) as refused:
        open_folder(tmp_path, other, Console(quiet=True))
    text = plan_text(report_of(other, plan_trials(other), tmp_path, 1, 0))
    assert f"a run would be refused: {refused.value}" in text and "to run" not in text


def test_stale_trials_are_priced_where_they_would_be_replaced(tmp_path):
    before = plan_trials(dataclasses.replace(REQUEST, max_steps=5))
    for trial in before[:2]:
        write_trial(tmp_path, record_of(trial), [])
    planned = plan_trials(REQUEST)
    kept = report_of(REQUEST, planned, tmp_path, 1, 0)
    replaced = report_of(REQUEST, planned, tmp_path, 1, 0, frozenset({Status.STALE}))
    assert kept["counts"]["stale"] == 2 and kept["needs_replace_stale"] and not replaced["needs_replace_stale"]
    per_trial = kept["at_most_sec"] / (len(planned) - 2)
    assert replaced["at_most_sec"] > kept["at_most_sec"] + per_trial / 2
    assert "a run would be refused without --replace-stale" in plan_text(kept)
    assert "--replace-stale" not in plan_text(replaced)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workloads": ("mnst",)}, r"unknown workload 'mnst'; did you mean 'mnist'\?"),
        ({"workloads": ("mnist_rely",)}, r"unknown variant of mnist 'rely'; did you mean 'relu'\?"),
        (
            {"submissions": (("nadamw_cosin", None),)},
            r"unknown submission 'nadamw_cosin'; did you mean 'nadamw_cosine'\?",
        ),
        ({"submissions": ()}, "no submission is named"),
        ({"submissions": (("template_torch", "jax"),)}, "has no jax version; it has: torch"),
        ({"submissions": (("lsuv_adamw", None),)}, "belongs to track initializers, the suite to algoperf"),
        ({"scale": "tiny"}, "unknown scale 'tiny'"),
    ],
)
def test_bad_requests_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        plan_trials(dataclasses.replace(REQUEST, **change))


def test_two_entries_of_one_name_are_refused(write_entry):
    folder = write_entry("template_torch")
    request = dataclasses.replace(
        REQUEST, ruleset="external", submissions=(("template_torch", None), (str(folder), None))
    )
    (folder / "tuning_search_space.json").write_text('[{"learning_rate": 1}]')
    with pytest.raises(UsageError, match="two submissions are called template_torch"):
        plan_trials(request)


def test_a_workload_without_target_is_refused(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: None)
    with pytest.raises(Exception, match=r"mnist \(mini\) has no target; set one with `timetrial targets mnist"):
        plan_trials(REQUEST)


def test_all_workloads_without_target_are_named_at_once(monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: None)
    with pytest.raises(UsageError, match=r"2 workloads have no target at scale mini: mnist, criteo1tb_resnet; set"):
        plan_trials(dataclasses.replace(REQUEST, workloads=("mnist", "criteo1tb_resnet")))
    with pytest.raises(Exception, match=r"mnist_relu \(full\) has no target: AlgoPerf sets none"):
        plan_trials(dataclasses.replace(REQUEST, workloads=("mnist_relu",), scale="full"))


@pytest.mark.parametrize("name", suite_names())
def test_the_suites_plan(name):
    for request in requests_of(load_suite(name)):
        assert plan_trials(request)


V1 = {
    "criteo1tb", "fastmri", "finewebedu_lm", "imagenet_resnet", "imagenet_vit", "librispeech_conformer",
    "librispeech_deepspeech", "ogbg", "wmt",
}  # fmt: skip


def test_the_full_scale_suites_name_algoperfs_workloads_with_its_rules():
    for name, algoperfs in (("full", V1), ("qualification", {"criteo1tb", "ogbg", "wmt"})):
        external, self_tuning = requests_of(load_suite(name))
        assert external.scale == self_tuning.scale == "full"
        assert (external.studies, external.trials, self_tuning.studies, self_tuning.trials) == (3, 5, 3, 1)
        assert set(external.workloads) == algoperfs
        for planned in plan_trials(external):
            workload = make_workload(planned.key.workload, "full")
            assert planned.task.spec.budget_sec == workload.max_allowed_runtime_sec
    budgets = {planned.key.workload: planned.task.spec.budget_sec for planned in plan_trials(self_tuning)}
    assert (budgets["criteo1tb"], budgets["ogbg"]) == (1.5 * 8_915, 1.5 * 11_303)


def suite_of(tmp_path, workloads):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nrulesets: [external]\nworkloads: {workloads}\nsubmissions: [nadamw_cosine]\n")
    return load_suite(str(path))


def test_one_variant_of_each_base_is_held_out_by_the_suites_seed(tmp_path):
    def drawn(seed):
        names = workloads_of(suite_of(tmp_path, f"{{held_out: {{seed: {seed}}}}}"))
        assert [split_name(name)[0] for name in names] == [w for w in workload_names() if workload_class(w).variants]
        assert all(split_name(name)[1] != BASE for name in names)
        return names

    assert drawn(0) == drawn(0)
    every = {name for seed in range(60) for name in drawn(seed)}
    assert every == {f"{name}_{v}" for name in workload_names() for v in type(make_workload(name)).variants}


def test_the_held_out_variants_join_the_bases_and_one_draw_does_not_move_another(tmp_path):
    alone = workloads_of(suite_of(tmp_path, "{held_out: {seed: 3}}"))
    together = workloads_of(suite_of(tmp_path, "{base: all, held_out: {seed: 3}}"))
    assert together == (*workload_names(), *alone)
    some = workloads_of(suite_of(tmp_path, "{base: [ogbg, criteo1tb_resnet], held_out: {seed: 3}}"))
    assert some[:2] == ("ogbg", "criteo1tb_resnet")
    assert some[2:] == tuple(name for name in alone if name.startswith("ogbg"))


@pytest.mark.parametrize(
    ("workloads", "message"),
    [
        ("{held_out: {sed: 0}}", r"mine\.yaml:3: workloads\.held_out\.sed: unknown key; did you mean 'seed'"),
        ("{base: [mnits]}", r"mine\.yaml:3: workloads\.base\.0: unknown workload 'mnits'; did you mean 'mnist'"),
        ("3", r"mine\.yaml:3: workloads: .*found 3"),
        ("{}", r"mine\.yaml:3: workloads: names none"),
        ("[]", r"mine\.yaml:3: workloads: names none"),
    ],
)
def test_a_malformed_choice_of_workloads_is_told_with_file_and_line(tmp_path, workloads, message):
    with pytest.raises(UsageError, match=message):
        suite_of(tmp_path, workloads)


def test_the_documentation_has_every_key_of_a_suite_and_an_example_that_plans(tmp_path):
    section = (Path(__file__).parents[2] / "docs" / "harness.md").read_text().split("## Suites")[1].split("\n## ")[0]
    assert [name for name in Suite.model_fields if f"\n| `{name}` |" not in section] == []
    path, count = tmp_path / "mine.yaml", int(re.search(r"this one plans (\d+) trials", section)[1])
    path.write_text(section.split("```yaml\n")[1].split("```")[0])
    assert sum(len(plan_trials(request)) for request in requests_of(load_suite(str(path)))) == count


def test_suites_are_checked_with_file_and_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrulesets: [external]\nworkloads:\n  - mnist\n  - cifar100\nsubmissions: all\n")
    with pytest.raises(UsageError, match=r"mine\.yaml:5: workloads\.1: unknown workload 'cifar100'"):
        load_suite(str(path))
    path.write_text("name: mine\nrulesets: [external]\nworkloads: all\nsubmissions: all\nstudeis: 3\n")
    with pytest.raises(UsageError, match=r"mine\.yaml:5: studeis: unknown key; did you mean 'studies'"):
        load_suite(str(path))
    with pytest.raises(UsageError, match=r"unknown suite 'quik'; did you mean 'quick'"):
        load_suite("quik")
    with pytest.raises(UsageError, match=r"is a folder; give a suite's file in it, or one of: full, "):
        load_suite(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"submissions": "[nadamw_cosine, {name: lion_cosine, frame: jax}]"},
         ["4: submissions.1.frame: unknown key; did you mean 'framework'? known: framework, name"]),
        ({"submissions": "[nadamw_cosine, {framework: jax}]"}, ["4: submissions.1.name: is missing; add it"]),
        ({"submissions": "[3]"}, ["4: submissions.0: expected keys and values (found 3)"]),
        ({"submissions": "[{name: lion_cosine, framework: tf}]"},
         ["4: submissions.0.framework: Input should be 'torch' or 'jax' (found 'tf')"]),
        ({"submissions": "al"}, ["4: submissions: Input should be 'all' (found 'al')"]),
        ({"workloads": "[mnist, 3]"}, ["3: workloads.1: Input should be a valid string (found 3)"]),
        ({"workloads": "{held_out: {sed: 3}}"},
         ["3: workloads.held_out.seed: is missing; add it",
          "3: workloads.held_out.sed: unknown key; did you mean 'seed'? known: seed"]),
        ({"seed": "true"}, ["5: seed: Input should be a valid integer (found True)"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_suite_is_told_in_its_own_words(tmp_path, changes, told):
    content = {"name": "mine", "rulesets": "[external]", "workloads": "all", "submissions": "all", **changes}
    path = tmp_path / "mine.yaml"
    path.write_text("".join(f"{name}: {value}\n" for name, value in content.items()))
    with pytest.raises(UsageError) as caught:
        load_suite(str(path))
    assert str(caught.value).splitlines() == [f"{path}:{line}" for line in told]


def test_jobs_never_share_cores(monkeypatch):
    monkeypatch.setattr("harness.machine.usable_cores", lambda: [2, 5, 7, 8])
    monkeypatch.setattr("harness.machine._siblings", str)
    assert sorted(slot.cores for slot in trial_slots(2, 2)) == [(2, 5), (7, 8)]
    with pytest.raises(UsageError, match="3 jobs of 2 threads need 6 cores, this process may use 4.*use --jobs 2"):
        trial_slots(3, 2)
    with pytest.raises(UsageError, match="1 job of 99 threads needs 99 cores, .*; use --threads 4 or fewer"):
        trial_slots(1, 99)
    assert DEFAULT_LIMITS.memory_bytes is None


def test_trials_get_whole_cores_before_anyone_gets_a_second_hardware_thread(monkeypatch):
    monkeypatch.setattr("harness.machine.usable_cores", lambda: [0, 1, 2, 3, 5])
    monkeypatch.setattr("harness.machine._siblings", {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3", 5: "4-5"}.get)
    assert whole_cores() == [(0, 2), (1, 3), (5,)]
    assert (most_jobs(1, ["jax"]), most_jobs(2, ["jax"]), most_jobs(4, ["jax"])) == (3, 1, 1)
    assert sorted(slot.cores for slot in trial_slots(3, 1)) == [(0,), (1,), (5,)]
    assert sorted(slot.cores for slot in trial_slots(2, 2)) == [(0, 1), (5, 2)], "asked for, it is given"
    assert len({core for slot in trial_slots(5, 1) for core in slot.cores}) == 5


def test_the_systems_cores_are_grouped_without_loss():
    assert sorted(core for group in whole_cores() for core in group) == usable_cores()


def test_a_newcomer_is_priced_by_what_others_took_in_the_same_folder(tmp_path):
    for trial in plan_trials(dataclasses.replace(REQUEST, submissions=(("nesterov_cosine", "torch"),))):
        write_trial(tmp_path, record_of(trial), [])
    newcomer = dataclasses.replace(REQUEST, submissions=(("nadamw_cosine", "torch"),))
    statuses = plan_status(plan_trials(newcomer), tmp_path)
    found = price(statuses, 1, other_records(statuses, tmp_path))
    assert (found.trials, found.known, found.expected_sec) == (2, 2, 16.0)
