"""AlgoPerf entries against the compositions of their algorithm, both in the harness's loop.

    python benchmarks/entries.py [--workload finewebedu_lm] [--rounds 12] [--steps 10]

For each style (jax of the jit era, jax of the pmap era, torch written for several processes) one process, pinned to one
core, alternates short stretches of both and compares their CPU times, so that a drifting machine cannot decide. The
entries are those that the tests train. Prints a table and exits with 1 when an entry runs at less than 95% of the
composition's speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.frameworks import set_thread_environment

LIMIT = 0.95
ENTRIES = Path(__file__).resolve().parent.parent / "tests" / "harness" / "compat" / "entries"
NADAMW = {"name": "nadamw", "learning_rate": 0.005, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.05}
STYLES: Mapping[str, tuple[str, str, Any]] = {
    "jit_nadamw": ("jax", "self_tuning", "constant"),
    "pmap_nadamw": ("jax", "external", "constant"),
    "ddp_nadamw": ("torch", "external", {"name": "warmup_cosine", "warmup_fraction": 0.01}),
}
"""Entry -> framework, ruleset, and the schedule of the composition that does the same."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="finewebedu_lm")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--entry", help="a folder or file to measure in the place of a style's own entry")
    parser.add_argument("--style", choices=list(STYLES), help="only this one")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        entry = options.entry or str(ENTRIES / options.style)
        print(json.dumps(compare(options.style, entry, options.workload, options.rounds, options.steps)))
        return
    set_thread_environment(1)
    slowest = float("inf")
    print(f"{'workload':16} {'entry':24} {'composition ms':>14} {'entry ms':>9} {'speed':>6}   (CPU time per step)")
    for style in [options.style] if options.style else STYLES:
        command = [sys.executable, __file__, *sys.argv[1:], "--here", "--style", style]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        slowest = min(slowest, found["speed"])
        print(
            f"{options.workload:16} {style:24} {1e3 * found['composition']:14.2f} {1e3 * found['entry']:9.2f} "
            f"{found['speed']:6.3f}"
        )
    if slowest < LIMIT:
        sys.exit(f"an entry runs at {slowest:.1%} of the composition's speed, the limit is {LIMIT:.0%}")


def compare(style: str, entry: str, workload: str, rounds: int, steps: int) -> Mapping[str, float]:
    """Median CPU seconds per step of both, and the median of the composition's over the entry's, round by round."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    framework, ruleset, schedule = STYLES[style]
    with tempfile.TemporaryDirectory() as folder:
        composition = Path(folder) / "same.yaml"
        data = {"name": "same", "framework": framework, "optimizer": NADAMW, "schedule": schedule, "defaults": {}}
        composition.write_text(yaml.safe_dump(data))
        loops = {"composition": loop(str(composition), framework, "self_tuning", workload)}
        loops["entry"] = loop(entry, framework, ruleset, workload)  # last: what it needs stays in place
    times: dict[str, list[float]] = {name: [] for name in loops}
    for stretch in loops.values():
        stretch(5)  # compilation and warm caches
    for number in range(rounds):
        for name in sorted(loops, reverse=bool(number % 2)):
            started = time.process_time()
            loops[name](steps)
            times[name].append((time.process_time() - started) / steps)
    ratios = [c / e for c, e in zip(times["composition"], times["entry"], strict=True)]
    return {"speed": statistics.median(ratios)} | {name: statistics.median(found) for name, found in times.items()}


def loop(reference: str, framework: str, ruleset: str, workload_name: str) -> Callable[[int], None]:
    """The harness's own loop, without a target and with evaluations out of reach."""
    from harness.clock import Clock
    from harness.compat.backends import backend_for
    from harness.entry import load_functions
    from harness.plan import plan_trials
    from harness.suite import Request
    from harness.trial import TrainingLoop
    from harness.workloads import make_workload

    request = Request((workload_name,), ((reference, framework),), ruleset, 1, 1, budget_sec=1e9)
    task = plan_trials(request)[0].task
    spec = dataclasses.replace(task.spec, eval_period_steps=10**9, validation_target=None)
    backend = backend_for(framework, task.entry.conventions)
    backend.set_threads(1)
    workload = make_workload(workload_name).bind(backend)
    functions = load_functions(task.entry, framework, defaults=ruleset == "self_tuning")
    task = dataclasses.replace(task, spec=spec)
    training = TrainingLoop(task, lambda *_: None, Clock(), backend, workload, functions)
    training.initialise()

    def stretch(steps: int) -> None:
        for _ in range(steps):
            training.advance()
        backend.synchronize(training.params, training.optimizer_state)

    return stretch


if __name__ == "__main__":
    main()
