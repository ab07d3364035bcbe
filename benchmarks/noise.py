"""How much a busy machine moves the time to target, by clock.

    python benchmarks/noise.py [--workload mnist] [--framework torch] [--repeats 10] [--seed 0]

One trial is repeated with one seed, so that every repetition does the same work: first on a quiet core, then on one
that it shares with up to ``--neighbours`` busy processes, which come and go at random. A table gives mean and
coefficient of variation of the time to target by wall time; by process CPU time; by wall time over the slowness of the
machine's kernels before and after the trial; and by steps, times the time of a step on the quiet core.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from harness.machine import usable_cores
from results.record import TrialRecord

ENTRY = "nadamw_cosine"
PAUSE_SEC = (0.2, 1.5)
_BUSY = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="mnist")
    parser.add_argument("--framework", choices=["torch", "jax"], default="torch")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    core = usable_cores()[0]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as folder:
        quiet = [trial(Path(folder) / f"quiet-{i}", options) for i in range(options.repeats)]
        with neighbours(core, options.neighbours, options.seed):
            busy = [trial(Path(folder) / f"busy-{i}", options) for i in range(options.repeats)]
    step_sec = statistics.median(record.crossing.wall / record.crossing.steps for record in quiet if record.crossing)
    usual = {name: statistics.median(record.speed["kernels_before_sec"][name] for record in quiet) for name in KERNELS}
    print(f"{ENTRY} on {options.workload}, {options.framework}, {options.repeats} repetitions")
    print(f"{'time to target by':34} {'quiet':>16} {'with neighbours':>18}")
    for name, clock in clocks(step_sec, usual).items():
        cells = [summary([clock(record) for record in records]) for records in (quiet, busy)]
        print(f"{name:34} {cells[0]:>16} {cells[1]:>18}")
    shares = [record.speed["waited_share"] or 0.0 for record in busy]
    print(f"with neighbours the trial waited for its core {statistics.mean(shares):.0%} of the time")


KERNELS = ("compute", "memory", "calls")


def clocks(step_sec: float, usual: Mapping[str, float]) -> Mapping[str, Callable[[TrialRecord], float]]:
    """Seconds to the target of a record, by the name of the clock."""

    def slowness(record: TrialRecord) -> float:
        """How much longer the kernels took than usually, before and after the trial; geometric mean."""
        before, drift = record.speed["kernels_before_sec"], record.speed["drift"]
        logs = [math.log(before[name] / usual[name]) + math.log(drift[name]) / 2 for name in KERNELS]
        return math.exp(statistics.mean(logs))

    def reached(record: TrialRecord) -> tuple[float, float, int]:
        if record.crossing is None:
            raise SystemExit(f"{record.spec.key.folder} missed its target: {record.stop_detail}")
        return record.crossing.wall, record.crossing.cpu, record.crossing.steps

    return {
        "wall time": lambda record: reached(record)[0],
        "CPU time": lambda record: reached(record)[1],
        "wall time / slowness of kernels": lambda record: reached(record)[0] / slowness(record),
        "steps x a quiet step's time": lambda record: reached(record)[2] * step_sec,
    }


def summary(seconds: Sequence[float]) -> str:
    mean = statistics.mean(seconds)
    return f"{mean:.2f} s, {statistics.stdev(seconds) / mean:.1%}"


def trial(out: Path, options: argparse.Namespace) -> TrialRecord:
    from harness.run import run
    from harness.suite import Request
    from results.store import find_trials, read_trial

    request = Request((options.workload,), ((ENTRY, options.framework),), "self_tuning", studies=1, trials=1)
    request = dataclasses.replace(request, seed=options.seed, budget_sec=1e6)
    with Path(os.devnull).open("w") as sink:
        run(request, out, console=Console(file=sink))
    return read_trial(next(iter(find_trials(out))))


@contextlib.contextmanager
def neighbours(core: int, most: int, seed: int) -> Iterator[None]:
    """Busy processes on a core, whose number changes at random."""
    stop, moments = threading.Event(), random.Random(seed)

    def work() -> None:
        while not stop.is_set():
            command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{core}])\n{_BUSY}"]
            processes = [subprocess.Popen(command) for _ in range(moments.randint(0, most))]
            stop.wait(moments.uniform(*PAUSE_SEC))
            for process in processes:
                process.kill()
                process.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
