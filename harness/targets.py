"""Targets of mini workloads by AlgoPerf's procedure (Dahl et al. 2023, section 4.4), scaled down.

Several standard algorithms are searched quasi-randomly, and at their entries' defaults, over a horizon shorter than the
step hint. The best points are rerun with a few seeds each, because the best single run of a search is a lucky one; the
one with the best median is rerun with many. The validation target is the median of their best validation values, the
test target the worst test value, at the evaluation with the best validation value, among the runs that met the
validation target.

For a resampling plan the training sets are smaller, and so must the targets be: the best point of the base procedure is
rerun on the plan's folds, before any submission sees them. The validation target is then what all of these runs reach:
folds differ, and a target that the reference misses on half of them would censor half of a comparison's times.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness import __version__
from harness.checkpoint import with_checkpoints
from harness.entry import Entry, default_point, find_entry
from harness.errors import UsageError
from harness.launch import run_trials
from harness.lock import locked
from harness.machine import machine_facts
from harness.plan import PlannedTrial, Status, plan_status, spec_digest, versions
from harness.progress import Progress
from harness.recorded_targets import fraction_key
from harness.resampling import Fold, Resampling, parse_plan
from harness.run import set_damaged_aside
from harness.seeds import derive
from harness.spec import BASE, Framework, Metric, Workload, target_records, targets_path
from harness.task import TrialTask
from harness.tuning import sample
from harness.workloads import workload_class
from results.record import CPU, TrialKey, TrialSpec
from results.store import read_evaluations, read_trial, trial_folder, write_json_atomically, write_trial

STANDARD_ALGORITHMS = ("nadamw_cosine", "adamw_linear", "nesterov_cosine")
SIGNIFICANT_DIGITS = 5
SHORTLIST = 3
"""How many of the search's points are rerun."""
PILOT_SEEDS = 3
"""Runs of each by which one is chosen."""


@dataclasses.dataclass(frozen=True)
class BestPoint:
    """A run's best validation value, the test value at that evaluation, and what made it."""

    validation: float
    test: float
    steps: int
    algorithm: str
    hyperparameters: Mapping[str, Any]
    cpu_sec: float


def set_targets(
    workload_name: str,
    *,
    variants: Sequence[str] = (),
    algorithms: Sequence[str] = STANDARD_ALGORITHMS,
    framework: Framework = "torch",
    points: int = 6,
    seeds: int = 10,
    horizon: float = 0.75,
    seed: int = 0,
    jobs: int = 1,
    search_space: Path | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    write: bool = False,
) -> dict[str, dict[str, Any]]:
    """Runs the procedure for variants of a workload; returns, by variant, the targets and the runs behind them.

    A ``search_space`` file replaces the algorithms' own, and their defaults, which then only fill in what it leaves
    out; one that lists a single point is rerun and not searched. Finished runs in ``out`` are not repeated. With
    ``write`` the result is merged into the workload's ``targets.json``.

    Raises:
      UsageError: an unknown name, or an algorithm without search space or without a version in that framework.
    """
    cls = workload_class(workload_name)
    results: dict[str, dict[str, Any]] = {}
    folder = (out or Path("runs/targets")) / workload_name
    candidates = _candidates(algorithms or STANDARD_ALGORITHMS, framework, points, seed, search_space)
    for variant in variants or (BASE, *cls.variants):
        workload = cls(variant, "mini", data_dir, max(1, round(horizon * cls.settings["mini"].step_hint)))
        results[variant] = _set_target(
            _Runner(workload, framework, seed, jobs, folder, data_dir.resolve() if data_dir else None),
            candidates,
            seeds,
        )
        results[variant]["horizon"] = horizon
        if write:
            _merge(workload, variant, results[variant])
    return results


@dataclasses.dataclass(frozen=True)
class _Runner:
    """Runs points of one workload without a target and reads their best values."""

    workload: Workload
    framework: Framework
    seed: int
    jobs: int
    folder: Path
    data_dir: Path | None

    def run(
        self, runs: Sequence[tuple[Entry, Mapping[str, Any]]], phase: str, folds: Sequence[Fold] = ()
    ) -> list[BestPoint]:
        """Best values of the runs, which take turns on the folds where there are any."""
        planned = [
            self._planned(entry, point, phase, i + 1, folds[i % len(folds)] if folds else None)
            for i, (entry, point) in enumerate(runs)
        ]
        console = Console(stderr=True)
        with locked(self.folder):
            statuses = plan_status(planned, self.folder)
            set_damaged_aside(statuses, self.folder, console)
            missing = [s.trial for s in statuses if s.status is not Status.DONE]
            for split in ("train", "validation", "test"):
                self.workload.load_split(split)
            with Progress(console, len(missing), self.jobs, {}) as progress:
                run_trials(
                    with_checkpoints(missing, self.folder),
                    jobs=self.jobs,
                    keep=functools.partial(write_trial, self.folder),
                    observer=progress,
                )
        return [self._best(trial) for trial in planned]

    def _planned(
        self, entry: Entry, point: Mapping[str, Any], phase: str, index: int, fold: Fold | None
    ) -> PlannedTrial:
        settings, workload = self.workload.base_settings, self.workload
        name, label = f"{phase}-{entry.competitor(self.framework)}", fold.label if fold else ""
        key = TrialKey(name, workload.full_name, self.framework, 1, index, label)
        spec = TrialSpec(
            key=key,
            base_workload=workload.name,
            variant=workload.variant,
            scale=workload.scale,
            workload_version=workload.version,
            ruleset="external",
            track="algoperf",
            hyperparameters=point,
            seed=derive(seed=self.seed, workload=workload.full_name, phase=phase, index=index),
            entry_digest=entry.digest,
            metric=workload.metric.name,
            direction=workload.metric.direction,
            validation_target=None,
            test_target=None,
            budget_sec=10 * settings.max_runtime_sec,
            max_steps=settings.step_hint,
            step_hint=settings.step_hint,
            eval_period_sec=settings.eval_period_sec,
            eval_period_steps=settings.eval_period_steps,
            threads=1,
            versions=versions(self.framework),
            split_seed=self.seed if fold else None,
        )
        return PlannedTrial(TrialTask(spec, entry, self.data_dir, test_every_evaluation=True), spec_digest(spec))

    def _best(self, trial: PlannedTrial) -> BestPoint:
        metric, spec = self.workload.metric, trial.task.spec
        worst = float("-inf") if metric.direction == "maximize" else float("inf")
        best = BestPoint(worst, worst, 0, trial.task.entry.name, spec.hyperparameters or {}, 0.0)
        folder = trial_folder(self.folder, trial.key)
        record = read_trial(folder)
        if record.stop_reason.failed:
            raise UsageError(f"{folder}: {record.stop_reason}: {record.stop_detail}; mend the cause and rerun")
        for row in read_evaluations(folder):
            value = row[f"validation/{metric.name}"]
            if metric.better(value, best.validation):
                best = dataclasses.replace(
                    best,
                    validation=value,
                    test=row[f"test/{metric.name}"],
                    steps=int(row["global_step"]),
                    cpu_sec=row[CPU],
                )
        return best


Candidate = tuple[Entry, Mapping[str, Any]]


def _candidates(
    algorithms: Sequence[str], framework: Framework, points: int, seed: int, search_space: Path | None
) -> list[Candidate]:
    """What is searched: points of each algorithm's search space, and its defaults unless the space was given."""
    found: list[Candidate] = []
    for entry in (find_entry(name, search_space) for name in algorithms):
        entry.frameworks_for(framework)
        if entry.search_space is None:
            raise UsageError(f"{entry.name} has no search space; choose algorithms that have one with --algorithm")
        drawn = sample(entry.search_space, points, derive(seed=seed, algorithm=entry.name))
        defaults = default_point(entry)
        tried = [*drawn, defaults] if search_space is None else [{**defaults, **point} for point in drawn]
        found += [(entry, point) for point in tried if point]
    if not found:
        why = "these algorithms have no defaults" if search_space is None else "--search-space replaces their defaults"
        raise UsageError(f"nothing to run: {why}; give --points 1 or more")
    return found


def _set_target(runner: _Runner, search: Sequence[Candidate], seeds: int) -> dict[str, Any]:
    metric = runner.workload.metric
    found = runner.run(search, "search") if len(search) > 1 else []
    sign = -1 if metric.direction == "maximize" else 1
    order = sorted(range(len(found)), key=lambda i: sign * found[i].validation) or [0]

    def reruns(rank: int, seeds: int) -> list[BestPoint]:
        return runner.run([search[order[rank]]] * seeds, f"rerun-{rank + 1}")

    def pilot(rank: int) -> float:
        return sign * statistics.median(run.validation for run in reruns(rank, min(PILOT_SEEDS, seeds)))

    chosen = min(range(min(SHORTLIST, len(order))), key=pilot)
    entry, point = search[order[chosen]]
    return {
        **_targets_from(reruns(chosen, seeds), metric, _median),
        "algorithm": entry.name,
        "framework": runner.framework,
        "hyperparameters": dict(point),
        "steps": runner.workload.step_hint,
        "seeds": seeds,
        "search": [
            {"algorithm": found[i].algorithm, "validation": _round(found[i].validation), **_rounded(search[i][1])}
            for i in order[: len(found)]
        ],
    }


def _median(values: Sequence[float], metric: Metric) -> float:
    return statistics.median(values)


def _worst(values: Sequence[float], metric: Metric) -> float:
    return min(values) if metric.direction == "maximize" else max(values)


def _targets_from(
    reruns: Sequence[BestPoint], metric: Metric, reduce: Callable[[Sequence[float], Metric], float]
) -> dict[str, Any]:
    """The validation target from the runs' best values, and the worst test value among the runs that met it."""
    sign = -1 if metric.direction == "maximize" else 1
    validation = _round(reduce([run.validation for run in reruns], metric))
    met = [run.test for run in reruns if metric.reached(run.validation, validation)]
    return {
        "validation": validation,
        "test": _round(max(met, key=lambda value: sign * value)) if met else validation,
        "rerun_validation": sorted(_round(run.validation) for run in reruns),
        "rerun_cpu_sec": round(statistics.median(run.cpu_sec for run in reruns), 2),
    }


def set_resampled_targets(
    workload_name: str,
    plan_name: str,
    *,
    inner: int = 0,
    variants: Sequence[str] = (),
    seeds: int = 10,
    seed: int = 0,
    jobs: int = 1,
    out: Path | None = None,
    data_dir: Path | None = None,
    write: bool = False,
) -> dict[str, dict[str, Any]]:
    """Targets for the training sets of a plan's folds, from the reference runs in ``targets.json``.

    Args:
      inner: set targets for this many inner parts too (1: one inner holdout); nested plans bring their own number.

    Returns:
      By variant, and by share of the training set (``0.50``): the targets and the runs behind them.

    Raises:
      UsageError: an unknown name or plan, one that resamples nothing, a nested one with ``inner``, or a variant whose
        own targets are not set yet.
    """
    cls, plan = workload_class(workload_name), parse_plan(plan_name)
    if plan.seeds_only:
        raise UsageError(
            f"--plan {plan.name} trains on all data, so that the workload's own targets hold; set those without --plan"
        )
    if plan.inner_parts and inner:
        raise UsageError(f"--inner has no effect with --plan {plan.name}, which has inner parts itself; leave it out")
    folder = (out or Path("runs/targets")) / workload_name
    results: dict[str, dict[str, Any]] = {}
    for variant in variants or (BASE, *cls.variants):
        reference = target_records(workload_name).get("variants", {}).get(variant)
        if reference is None:
            raise UsageError(f"{workload_name} {variant} has no targets yet; run `timetrial targets {workload_name}`")
        workload = cls(variant, "mini", data_dir, reference["steps"])
        runner = _Runner(workload, reference["framework"], seed, jobs, folder, data_dir.resolve() if data_dir else None)
        run = (find_entry(reference["algorithm"]), reference["hyperparameters"])
        outer = plan.folds_of(workload)
        kinds = [outer] + [[f for fold in outer for f in fold.inside(n)] for n in (plan.inner_parts or inner,) if n]
        results[variant] = {}
        for folds in kinds:
            spread = [folds[i * len(folds) // seeds % len(folds)] for i in range(seeds)]
            found = _targets_from(runner.run([run] * seeds, "resampled", spread), workload.metric, _worst)
            key = fraction_key(Resampling(folds[0], seed).train_fraction)
            results[variant][key] = {**found, "plan": plan.name, "seeds": seeds}
        if write:
            resampled = {**reference.get("resampled", {}), **results[variant]}
            _merge(workload, variant, {**reference, "resampled": resampled})
    return results


def _round(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _rounded(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _round(value) if isinstance(value, float) else value for name, value in point.items()}


def _merge(workload: Workload, variant: str, result: Mapping[str, Any]) -> None:
    path = targets_path(workload.name)
    recorded = json.loads(path.read_text()) if path.exists() else {}
    entries = {**recorded.get("variants", {}), variant: result}
    write_json_atomically(
        path,
        {
            "workload": workload.name,
            "workload_version": workload.version,
            "metric": dataclasses.asdict(workload.metric),
            "scale": workload.scale,
            "timetrial": __version__,
            "machine_class": machine_facts()["class"],
            "cpu": machine_facts()["cpu"],
            "variants": entries,
        },
    )
    target_records.cache_clear()
