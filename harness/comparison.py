"""Running what a comparison or a cross-validation needs, and reading it back as samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.errors import UsageError
from harness.launch import DEFAULT_LIMITS, Limits
from harness.plan import PlannedTrial, plan_trials
from harness.progress import replicate
from harness.resampling import Fold, Plan
from harness.run import run
from harness.suite import Request
from harness.workloads import make_workload
from results.record import TrialKey
from results.store import trial_folder

if TYPE_CHECKING:
    from scoring.comparison import NestedResult, Response, Run, Sample


SLACK = 4.0
"""A comparison's budget is a number of steps; submission time may be this many times the benchmark's budget, so that a
busy machine does not cut runs short."""


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs trials into one folder and reads them back; recorded ones are not repeated. Where seconds are compared
    (``timed``), runs of two machine classes are refused or, ``across_machines``, scaled, and runs whose machine was
    disturbed are repeated up to ``rerun_disturbed`` times."""

    out: Path
    jobs: int
    console: Console
    limits: Limits = DEFAULT_LIMITS
    replace_stale: bool = False
    timed: bool = False
    across_machines: bool = False
    rerun_disturbed: int = 0

    def runs(self, request: Request, planned: Sequence[PlannedTrial]) -> dict[TrialKey, Run]:
        """Runs what is missing of the planned trials; returns all of them.

        Raises:
          UsageError, StoreError: as :func:`harness.run.run`; or a trial failed.
          ScoringError: of two machine classes.
        """
        from scoring.comparison import on_one_machine, read_run

        summary = run(
            request,
            self.out,
            planned=planned,
            jobs=self.jobs,
            limits=self.limits,
            console=self.console,
            replace_stale=self.replace_stale,
            rerun_disturbed=self.rerun_disturbed if self.timed else 0,
            one_machine=self.timed and not self.across_machines,
        )
        if summary.failed:
            raise UsageError(
                f"{summary.failed} of {summary.planned} trials in {self.out} failed, so that the samples are unequal; "
                "their trial.json says why (stop_detail)"
            )
        found = {trial.key: read_run(trial_folder(self.out, trial.key), replicate(trial.key)) for trial in planned}
        return on_one_machine(found, self.across_machines) if self.timed else found


def requests_under(request: Request, plan: Plan, folds: int | None = None) -> list[Request]:
    """One request per workload under a plan. Every run goes on past the target to the fixed budget of steps (the step
    hint, where no limit is given), so that times and metrics come from the same runs.

    Args:
      folds: run the first so many only.
    """
    requests = []
    for name in request.workloads:
        workload = make_workload(name, request.scale, request.data_dir)
        single = dataclasses.replace(
            request,
            workloads=(name,),
            max_steps=request.max_steps or workload.step_hint,
            budget_sec=request.budget_sec or SLACK * workload.max_allowed_runtime_sec,
            stop_at_target=False,
            studies=plan.replications if plan.seeds_only else 1,
            folds=() if plan.seeds_only else plan.folds_of(workload)[:folds],
        )
        requests.append(single)
    return requests


def samples(
    request: Request, plan: Plan, runner: Runner, response: Response, inner: int = 1
) -> dict[tuple[str, str], Sample]:
    """The runs of every submission on every workload under a plan, by (submission, workload).

    Under the external ruleset each submission spends its whole tuning budget inside the training part of each fold
    (``inner`` parts; 1: one inner holdout); its chosen point is then trained on the whole part.

    Raises:
      UsageError, StoreError, ScoringError: what cannot be run or read.
    """
    from scoring.comparison import Sample

    if plan.seeds_only and request.ruleset == "external":
        raise UsageError(
            f"{plan.name} leaves no data to tune on under the external ruleset; use a plan that resamples, such as "
            "5x2cv, or --ruleset self-tuning"
        )
    found: dict[tuple[str, str], Sample] = {}
    for single in requests_under(request, plan):
        workload = make_workload(single.workloads[0], single.scale, single.data_dir)
        planned = plan_trials(single)
        names = _names(planned)
        if single.ruleset == "external":
            tuned = _inner_runs(single, runner, inner)
            chosen = {key: _choose(runs, response, workload.metric.direction) for key, runs in tuned.items()}
            planned = [t for t in planned if chosen[t.key.submission, t.key.fold] == t.key.trial - 1]
        runs = runner.runs(single, planned)
        order = {fold.label: i for i, fold in enumerate(single.folds)}
        for name in names:
            mine = [trial for trial in planned if trial.key.submission == name]
            mine.sort(key=lambda trial: (order.get(trial.key.fold, 0), trial.key.study))
            metric = workload.metric
            found[name, workload.full_name] = Sample(
                name, workload.full_name, metric.direction, metric.name, tuple(runs[trial.key] for trial in mine)
            )
    return found


def cross_validated(
    request: Request, plan: Plan, runner: Runner, response: Response
) -> dict[tuple[str, str], NestedResult]:
    """Nested cross-validation of every submission on every workload.

    All points are also run on the outer folds, which is what the optimism of not nesting is measured with.

    Raises:
      UsageError: the plan is not nested, or a submission has no search space.
    """
    from scoring.comparison import nested

    if not plan.inner_parts:
        raise UsageError(f"{plan.name} has no inner loop; use nested-OxI, such as nested-5x3")
    if request.ruleset != "external":
        raise UsageError("nested cross-validation tunes a search space: use --ruleset external")
    found: dict[tuple[str, str], NestedResult] = {}
    for single in requests_under(request, plan):
        workload = make_workload(single.workloads[0], single.scale, single.data_dir)
        inner = _inner_runs(single, runner, plan.inner_parts)
        planned = plan_trials(single)
        runs = runner.runs(single, planned)
        for name in _names(planned):
            outer: dict[str, list[Run]] = {fold.label: [] for fold in single.folds}
            for trial in sorted(planned, key=lambda trial: trial.key.trial):
                if trial.key.submission == name:
                    outer[trial.key.fold].append(runs[trial.key])
            tuned = {label: inner[name, label] for label in outer}
            found[name, workload.full_name] = nested(tuned, outer, response, workload.metric.direction)
    return found


def search_points(request: Request) -> dict[str, list[Mapping[str, Any]]]:
    """The points of each submission's search space, by submission; the same in every fold."""
    points: dict[str, dict[int, Mapping[str, Any]]] = {}
    for trial in plan_trials(dataclasses.replace(request, workloads=request.workloads[:1], target_required=False)):
        points.setdefault(trial.key.submission, {})[trial.key.trial] = trial.task.spec.hyperparameters or {}
    return {name: [of[number] for number in sorted(of)] for name, of in points.items()}


def _inner_runs(single: Request, runner: Runner, parts: int) -> Mapping[tuple[str, str], list[list[Run]]]:
    """By (submission, outer fold): for each point its runs over the inner parts."""
    outer_of: dict[str, Fold] = {inner.label: fold for fold in single.folds for inner in fold.inside(parts)}
    request = dataclasses.replace(single, folds=tuple(i for fold in single.folds for i in fold.inside(parts)))
    planned = plan_trials(request)
    runs = runner.runs(request, planned)
    found: dict[tuple[str, str], dict[int, list[Run]]] = {}
    for trial in planned:
        points = found.setdefault((trial.key.submission, outer_of[trial.key.fold].label), {})
        points.setdefault(trial.key.trial, []).append(runs[trial.key])
    return {key: [points[number] for number in sorted(points)] for key, points in found.items()}


def _choose(inner: Sequence[Sequence[Run]], response: Response, direction: str) -> int:
    from scoring.comparison.nested import choose_point

    return choose_point(inner, response, direction)


def _names(planned: Sequence[PlannedTrial]) -> list[str]:
    return list(dict.fromkeys(trial.key.submission for trial in planned))
