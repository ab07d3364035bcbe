"""How much two cores give over one: trials per minute with one job and with one job per core, in one run.

    python benchmarks/packing.py [--workload finewebedu_lm] [--steps 150] [--repeats 2]

Runs the same trials (a torch and a jax entry, fixed steps) with ``--jobs 1`` and ``--jobs N`` alternately and
compares the rates. Prints a table and exits with 1 when the gain per core is below the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

LIMIT_PER_CORE = 0.9


def main() -> None:
    from harness.machine import usable_cores

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", help="Repeatable. Default: criteo1tb and finewebedu_lm.")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    cores = len(usable_cores())
    if cores < 2:
        sys.exit("packing needs at least two cores")
    worst = float(cores)
    print(f"{'workload':16} {'framework':9} {'1 job/min':>10} {f'{cores} jobs/min':>10} {'gain':>6}")
    for workload in options.workload or ["criteo1tb", "finewebedu_lm"]:
        for framework in ("torch", "jax"):
            rates: dict[int, list[float]] = {1: [], cores: []}
            for _ in range(options.repeats):
                for jobs in rates:
                    rates[jobs].append(trials_per_minute(workload, framework, jobs, 2 * cores, options.steps))
            one, many = (statistics.median(found) for found in rates.values())
            worst = min(worst, many / one)
            print(f"{workload:16} {framework:9} {one:10.1f} {many:10.1f} {many / one:6.2f}", flush=True)
    if worst < LIMIT_PER_CORE * cores:
        sys.exit(f"{cores} cores give less than {LIMIT_PER_CORE * cores:.1f} times the trials of one")


def trials_per_minute(workload: str, framework: str, jobs: int, count: int, steps: int) -> float:
    """Rate over ``count`` trials, start-up and evaluation included."""
    from harness.run import run
    from harness.suite import Request

    request = Request(
        (workload,), (("nadamw_cosine", framework),), "self_tuning", count, 1, max_steps=steps, budget_sec=1e6
    )
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as sink:
        started = time.perf_counter()
        summary = run(request, Path(folder) / "out", jobs=jobs, console=Console(file=sink))
        elapsed = time.perf_counter() - started
    if summary.failed:
        raise RuntimeError(f"{summary.failed} trials failed")
    return 60 * count / elapsed


if __name__ == "__main__":
    main()
