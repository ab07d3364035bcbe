"""How long scoring takes and how much memory, on the official v0.5 logs and on a large synthetic store.

    python benchmarks/scoreboard.py                        # the v0.5 external logs, 20,000 draws
    python benchmarks/scoreboard.py --trials 100000        # a store of own runs, made in a temporary folder

Each measurement runs in a fresh process; seconds include its start. The store has 20 submissions, 20 workloads, 50
studies and as many trials per study as that takes, with 30 evaluations each.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from results.record import EVALUATION_COLUMNS, TrialKey
from results.store import EVALUATIONS_FILE, HPARAMS_FILE, TRIAL_FILE
from results.synthetic import DEFAULT_GOAL, evaluations, record

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT.parent / "shared" / "algoperf_v05_external.tar.xz"
SUBMISSIONS, WORKLOADS, STUDIES, EVALUATIONS = 20, 20, 50, 30
MEASURE = """
import json, resource, sys
from scoring import api
board = api.score([sys.argv[1]], **json.loads(sys.argv[2]))
json.dumps(board.to_json())
print(json.dumps({"leader": board.entries[0].submission, "score": board.entries[0].score,
                  "trials": sum(len(s.trials) for c in board.field.cells.values() for s in c),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))
"""


def measure(folder: Path, **options: object) -> dict[str, object]:
    """Scores a folder in a fresh process: wall and CPU seconds, peak memory in MB, and the leader."""
    started, cpu = time.perf_counter(), _children_cpu()
    command = [sys.executable, "-c", MEASURE, str(folder), json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    wall = round(time.perf_counter() - started, 2)
    return {"seconds": wall, "cpu_seconds": round(_children_cpu() - cpu, 2), **json.loads(done.stdout)}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def make_store(root: Path, trials: int, seed: int = 0) -> None:
    """Writes own run folders as fast as the disk allows (without the store's flushing and renaming)."""
    rng = np.random.RandomState(seed)
    per_study = max(1, trials // (SUBMISSIONS * WORKLOADS * STUDIES))
    for s in range(SUBMISSIONS):
        for w in range(WORKLOADS):
            for study in range(1, STUDIES + 1):
                for trial in range(1, per_study + 1):
                    key = TrialKey(f"entry_{s:02d}", f"workload_{w:02d}", "torch", study, trial)
                    seconds = 20 * (1 + 0.05 * s) * float(np.exp(0.3 * rng.standard_normal()))
                    hit = rng.random_sample() < 0.9 and seconds < 95
                    times = np.linspace(seconds / EVALUATIONS, seconds if hit else 100.0, EVALUATIONS)
                    values = np.linspace(0.1, 0.91 if hit else 0.89, EVALUATIONS)
                    values[:-1] = np.minimum(values[:-1], 0.899)
                    _write(root / key.folder, key, evaluations(list(zip(times.tolist(), values.tolist(), strict=True))))


def _write(folder: Path, key: TrialKey, rows: list[dict[str, float]]) -> None:
    folder.mkdir(parents=True)
    made = record(key, rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*EVALUATION_COLUMNS, DEFAULT_GOAL.column])
    writer.writeheader()
    writer.writerows(rows)
    (folder / EVALUATIONS_FILE).write_text(text.getvalue())
    (folder / HPARAMS_FILE).write_text(json.dumps(made.spec.hyperparameters))
    (folder / TRIAL_FILE).write_text(json.dumps(made.to_json()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=0, help="size of a synthetic store; 0: the v0.5 logs")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options: dict[str, object] = {}
        if arguments.trials:
            started = time.perf_counter()
            make_store(folder, arguments.trials)
            print(f"made the store in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        else:
            with tarfile.open(LOGS) as archive:
                archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
                archive.extractall(folder)
            options = {"benchmark": "v0.5", "ruleset": "external", "reference": "baseline"}
        for _ in range(arguments.repeat):
            print(json.dumps(measure(folder, **options)))


if __name__ == "__main__":
    main()
