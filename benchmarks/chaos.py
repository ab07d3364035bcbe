"""What chaos does to a ledger: random kills, freezes and starvations of trials, and kills of whole launches.

    python benchmarks/chaos.py [--kills 200] [--every 1.0] [--steps 2000] [--workload mnist ...] [--seed 0]

For every workload, in both frameworks, the same trials run twice: once while they are killed (SIGKILL), frozen
(SIGSTOP) and starved of their core at random moments, and once undisturbed; the kills are spread evenly, and studies
are repeated with other seeds until their number is reached. Then the same command is killed as a whole and reissued.
A table tells what was done and found; the exit code is 1 when an evaluation was lost or doubled, or a record differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

WORKLOADS = ("mnist", "criteo1tb", "ogbg")
ENTRIES = {"torch": "nadamw_cosine", "jax": "nadamw_cosine"}
LAUNCH_KILLS = 3


@dataclasses.dataclass
class Tally:
    kills: int = 0
    others: int = 0
    evaluations: int = 0
    lost: int = 0
    doubled: int = 0
    differences: int = 0

    def line(self, what: str) -> str:
        return (
            f"{what:34} {self.kills:6} {self.others:8} {self.evaluations:12} {self.lost:6} {self.doubled:8} "
            f"{self.differences:12}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", help=f"Repeatable. Default: {', '.join(WORKLOADS)}.")
    parser.add_argument("--kills", type=int, default=200, help="Of trials, in all.")
    parser.add_argument("--every", type=float, default=1.0, help="Mean seconds between two disturbances.")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cells = [(workload, framework) for workload in options.workload or WORKLOADS for framework in ENTRIES]
    print(f"{'':34} {'kills':>6} {'others':>8} {'evaluations':>12} {'lost':>6} {'doubled':>8} {'differences':>12}")
    total = Tally()
    for workload, framework in cells:
        tally = disturbed_trials(workload, framework, -(-options.kills // len(cells)), options)
        print(tally.line(f"trials of {workload} {framework}"), flush=True)
        total = add(total, tally)
    tally = disturbed_launches(cells[0], options)
    print(tally.line(f"launches of {cells[0][0]} {cells[0][1]}"), flush=True)
    total = add(total, tally)
    print(total.line("all"))
    sys.exit(bool(total.lost or total.doubled or total.differences))


def add(one: Tally, other: Tally) -> Tally:
    return Tally(*(a + b for a, b in zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)))


def disturbed_trials(workload: str, framework: str, kills: int, options: argparse.Namespace) -> Tally:
    """Runs with other seeds until there were so many kills."""
    from harness.chaos import run_with_chaos
    from harness.suite import Request

    tally, seed = Tally(), options.seed
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as sink:
        while tally.kills < kills:
            request = Request(
                (workload,),
                ((ENTRIES[framework], framework),),
                "self_tuning",
                studies=1,
                trials=1,
                seed=seed,
                max_steps=options.steps,
                stop_at_target=False,
            )
            report = run_with_chaos(
                request,
                Path(folder) / str(seed),
                seed=seed,
                every_sec=options.every,
                most_kills=kills - tally.kills,
                console=Console(file=sink),
            )
            found = report.difference
            for line in found.differences:
                print(f"  {line}", file=sys.stderr)
            others = report.freezes + report.starvations
            differences = len(found.differences)
            tally = add(tally, Tally(report.kills, others, found.evaluations, found.lost, found.doubled, differences))
            seed += 1
    return tally


def disturbed_launches(cell: tuple[str, str], options: argparse.Namespace) -> Tally:
    """Kills the command itself at random moments, and reissues it until it ends."""
    from results.ledger import compare_ledgers

    workload, framework = cell
    source, moments = ENTRIES[framework], random.Random(options.seed)
    command = [sys.executable, "-m", "harness.cli", "run", "-s", source, "-w", workload, "--framework", framework]
    command += ["--studies", "2", "--max-steps", str(options.steps), "--no-report", "--checkpoint-every", "0"]
    command += ["--jobs", "1", "--budget", "1h"]
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, out = Path(folder) / "undisturbed", Path(folder) / "disturbed"
        started = time.monotonic()
        subprocess.run([*command, "--out", str(undisturbed)], check=True, capture_output=True)
        length = time.monotonic() - started
        for _ in range(LAUNCH_KILLS):
            process = subprocess.Popen(
                [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                process.wait(moments.uniform(0.2, 0.8) * length)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
        found = compare_ledgers(out, undisturbed)
    return Tally(LAUNCH_KILLS, 0, found.evaluations, found.lost, found.doubled, len(found.differences))


if __name__ == "__main__":
    main()
