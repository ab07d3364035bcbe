"""Is a mini workload any good? What its target asks for, and what it costs, as Markdown tables for docs/workloads.md.

    python benchmarks/mini_workloads.py [--workload mnist] [--framework torch] [--jobs 1] [--out runs/workloads]

The reference is the point that ``targets.json`` names, trained over the whole step hint; where that misses the target
with one of three seeds, or they differ by more than a quarter in their steps, the standard entry with its defaults
that is surer: of those that never miss, the one whose seeds differ least. It runs to the target with three seeds; once
with its learning rate divided by 30 and once multiplied; once past the target, over the whole step hint, for the gap
between training and validation and for shares and memory. Each standard entry runs with its defaults. Runs end at the
step hint, where the schedules end, in place of a budget in seconds, and times are CPU times, so that a busy machine
moves nothing but the last digits. Finished runs in the folder are not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.entry import default_point, find_entry
from harness.plan import PlannedTrial, plan_trials
from harness.run import run
from harness.spec import Framework, Metric, target_records
from harness.suite import Request
from harness.targets import STANDARD_ALGORITHMS
from harness.workloads import make_workload, workload_names
from results.record import CPU, TrialRecord
from results.store import read_evaluations, read_trial, trial_folder

FACTOR = 30.0
SEEDS = 3
SURE = 0.25
UNLIMITED_SEC = 1e9


@dataclasses.dataclass(frozen=True)
class Case:
    """One entry with one point; ``past_target`` runs go on to the step hint and then measure the training split too."""

    name: str
    entry: str
    point: Mapping[str, Any]
    seeds: int = 1
    past_target: bool = False


@dataclasses.dataclass(frozen=True)
class Measured:
    """A finished run: its record and its evaluations, first to last."""

    record: TrialRecord
    rows: Sequence[Mapping[str, float]]

    def last(self, column: str) -> float:
        return self.rows[-1].get(column, float("nan")) if self.rows else float("nan")

    def best(self, metric: Metric) -> float:
        values = [row[f"validation/{metric.name}"] for row in self.rows]
        known = [value for value in values if value == value]
        return (max if metric.direction == "maximize" else min)(known, default=float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", help="Full name; repeatable. Default: all that have a target.")
    parser.add_argument("--framework", choices=["torch", "jax"], default="torch")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/workloads"))
    options = parser.parse_args()
    names = options.workload or [name for name in workload_names() if make_workload(name).has_target]
    measured = {}
    for name in names:
        measured[name] = measure_all(
            name,
            lambda case, name=name: measure(name, case, options.framework, options.out, options.jobs, options.data_dir),
        )
        print(f"{name} is measured", file=sys.stderr)
    print(quality_table(measured))
    print()
    print(cost_table(measured))


def measure_all(name: str, run: Callable[[Case], list[Measured]]) -> dict[str, list[Measured]]:
    """All cases of a workload, by their names."""
    standard = [Case(entry, entry, default_point(find_entry(entry))) for entry in STANDARD_ALGORITHMS]
    found = {case.name: run(case) for case in standard}
    reference = of_the_target(name)
    found["reference"] = run(reference)
    if not sure(found["reference"]):
        rivals = [dataclasses.replace(case, seeds=SEEDS) for case in standard if reliable(found[case.name])]
        runs = {case.name: (case, run(case)) for case in rivals}
        able = [pair for pair in [(reference, found["reference"]), *runs.values()] if reliable(pair[1])]
        if able:
            reference, found["reference"] = min(able, key=lambda pair: difference(pair[1]))
    return found | {case.name: run(case) for case in around(reference)}


def of_the_target(name: str) -> Case:
    """The point that the target was set by."""
    workload = make_workload(name)
    found = target_records(workload.name)["variants"][workload.variant]
    return Case("reference", found["algorithm"], found["hyperparameters"], SEEDS)


def around(reference: Case) -> list[Case]:
    """The reference with other rates, and beyond the target."""

    def scaled(factor: float) -> Mapping[str, Any]:
        return {**reference.point, "learning_rate": factor * reference.point["learning_rate"]}

    return [
        Case("too small", reference.entry, scaled(1 / FACTOR)),
        Case("too large", reference.entry, scaled(FACTOR)),
        Case("past target", reference.entry, reference.point, past_target=True),
    ]


def reliable(runs: Sequence[Measured]) -> bool:
    return all(found.record.crossing for found in runs)


def difference(runs: Sequence[Measured]) -> float:
    """How many more steps to the target the last seed takes than the first, as a share."""
    steps = [found.record.crossing.steps for found in runs if found.record.crossing]
    return max(steps) / min(steps) - 1


def sure(runs: Sequence[Measured]) -> bool:
    return reliable(runs) and difference(runs) <= SURE


def measure(
    name: str,
    case: Case,
    framework: Framework,
    out: Path,
    jobs: int = 1,
    data_dir: Path | None = None,
    max_steps: int | None = None,
) -> list[Measured]:
    """Runs what is missing of a case, up to the step hint unless ``max_steps`` is given; one result per seed."""
    folder = out / name / case.name.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    space = folder.with_suffix(".json")
    space.write_text(json.dumps([case.point]))
    request = Request(
        workloads=(name,),
        submissions=((case.entry, framework),),
        ruleset="external",
        studies=case.seeds,
        trials=1,
        budget_sec=UNLIMITED_SEC,
        max_steps=max_steps or make_workload(name).step_hint,
        data_dir=data_dir,
        search_space=space,
        stop_at_target=not case.past_target,
    )
    planned = [with_training_split(trial) if case.past_target else trial for trial in plan_trials(request)]
    run(request, folder, planned=planned, jobs=jobs, console=Console(quiet=True))
    folders = [trial_folder(folder, trial.key) for trial in planned]
    return [Measured(read_trial(place), list(read_evaluations(place))) for place in folders]


def with_training_split(trial: PlannedTrial) -> PlannedTrial:
    return dataclasses.replace(trial, task=dataclasses.replace(trial.task, train_at_end=True))


Results = Mapping[str, Mapping[str, Sequence[Measured]]]
"""By workload and case."""


def quality_table(measured: Results) -> str:
    """What the target asks for."""
    header = [
        "workload",
        "target",
        "reference",
        f"reached in ({SEEDS} seeds)",
        "spread of steps",
        f"{FACTOR:g} x too small",
        f"{FACTOR:g} x too large",
        *STANDARD_ALGORITHMS,
        "training / validation at the end",
    ]
    rows = []
    for name, of in measured.items():
        metric = make_workload(name).metric
        spec = of["reference"][0].record.spec
        end = of["past target"][0]
        rate = spec.hyperparameters["learning_rate"] if spec.hyperparameters else float("nan")
        rows.append(
            [
                name,
                f"{spec.validation_target:.5g}",
                f"{spec.key.submission}, lr {rate:.2g}",
                reached(of["reference"], metric),
                spread(of["reference"]),
                *(reached(of[case], metric) for case in ("too small", "too large", *STANDARD_ALGORITHMS)),
                f"{end.last(f'eval_train/{metric.name}'):.4g} / {end.last(f'validation/{metric.name}'):.4g}",
            ]
        )
    return markdown(header, rows)


def cost_table(measured: Results) -> str:
    """What a run over the whole step hint costs."""
    header = [
        "workload",
        "CPU time of the step hint",
        "budget",
        "CPU time per step",
        "data selection / step",
        "evaluation / run to the target",
        "peak memory",
    ]
    rows = []
    for name, of in measured.items():
        whole = of["past target"][0]
        segments, cpu = whole.record.segments, whole.last(CPU)
        selection, step = segments.get("data_selection", 0.0), segments.get("step", 0.0)
        shares = [evaluation_share(found.record.segments) for found in of["reference"]]
        peak = max(found.record.peak_memory_bytes for runs in of.values() for found in runs)
        rows.append(
            [
                name,
                f"{cpu:.0f} s",
                f"{make_workload(name).max_allowed_runtime_sec:g} s",
                f"{1e3 * cpu / whole.record.steps:.3g} ms",
                f"{selection / step:.1%}",
                f"{statistics.median(shares):.0%}",
                f"{peak / 2**20:,.0f} MB",
            ]
        )
    return markdown(header, rows)


def evaluation_share(segments: Mapping[str, float]) -> float:
    """Of the time from the first step to the end."""
    timed = sum(segments.get(name, 0.0) for name in ("data_selection", "compile", "step", "prepare_for_eval"))
    return segments["evaluate"] / (segments["evaluate"] + timed)


def reached(runs: Sequence[Measured], metric: Metric) -> str:
    """CPU seconds and steps to the target (medians), or how many missed it and with which best value."""
    crossings = [found.record.crossing for found in runs]
    hits = [crossing for crossing in crossings if crossing]
    failed = [found.record.stop_reason for found in runs if found.record.stop_reason.failed]
    if failed:
        return f"failed ({failed[0]})"
    if len(hits) < len(runs):
        best = statistics.median(found.best(metric) for found in runs)
        some = f"{len(runs) - len(hits)} of {len(runs)} miss" if len(runs) > 1 else "misses"
        return f"{some} ({best:.4g})"
    seconds, steps = (statistics.median(getattr(hit, clock) for hit in hits) for clock in ("cpu", "steps"))
    return f"{seconds:.3g} s ({steps:,.0f})"


def spread(runs: Sequence[Measured]) -> str:
    return f"{difference(runs):.0%}" if reliable(runs) else "-"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
