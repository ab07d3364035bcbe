"""Do verdicts hold through the real harness? An entry against itself under other seeds, and against a hobbled self.

Both entries of a comparison share the splits (plan 5x2cv), as in ``timetrial compare``. An entry does not
differ from itself, so "better" or "worse" there is a false positive; with a learning rate 1,000 times too small,
anything but "better" is a miss.

    python benchmarks/self_comparison.py --comparisons 20 --jobs 2
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import tempfile
from pathlib import Path

from rich.console import Console

from harness.comparison import Runner, samples
from harness.resampling import parse_plan
from harness.suite import Request
from scoring.comparison import RESPONSES, Sample, compare

WORKLOAD, ENTRY, HOBBLE = "mnist", "adamw_linear", 1e-3
PLAN = parse_plan("5x2cv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--max-steps", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="keeps the runs; by default they are thrown away")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        hobbled = _hobbled(out)
        verdicts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for number in range(arguments.comparisons):
            here = out / str(number)
            runs = {
                name: _sample(entry, seed, number, here / name, arguments.max_steps, arguments.jobs)
                for name, entry, seed in (
                    ("itself", ENTRY, 2 * number),
                    ("again", ENTRY, 2 * number + 1),
                    ("hobbled", str(hobbled), 2 * number),
                )
            }
            for against in ("again", "hobbled"):
                for test, ratio in (("5x2cv-f", 1.0), ("corrected-t", 1.0)):
                    found = {(name, WORKLOAD): runs[name] for name in ("itself", against)}
                    plan = PLAN.name
                    row = compare(found, test=test, response="metric", plan=plan, test_train_ratio=ratio).rows[0]
                    verdicts[f"{test}, {against}"][row.verdict.value] += 1
        for name, counts in verdicts.items():
            print(f"{name:24s}", dict(counts))


def _hobbled(out: Path) -> Path:
    """The entry as a copy whose learning rate is 1,000 times smaller."""
    import yaml

    source = Path(__file__).parent.parent / "submissions" / "entries" / f"{ENTRY}.yaml"
    entry = yaml.safe_load(source.read_text())
    entry["name"] = "hobbled"
    entry["defaults"]["learning_rate"] *= HOBBLE
    path = out / "hobbled.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry))  # JSON is YAML
    return path


def _sample(entry: str, seed: int, split_seed: int, out: Path, max_steps: int, jobs: int) -> Sample:
    request = Request(
        workloads=(WORKLOAD,),
        submissions=((entry, "torch"),),
        ruleset="self_tuning",
        studies=1,
        trials=1,
        seed=seed,
        split_seed=split_seed,
        max_steps=max_steps,
        target_required=False,
    )
    (found,) = samples(request, PLAN, Runner(out, jobs, Console(quiet=True)), RESPONSES["metric"]).values()
    return dataclasses.replace(found, submission=out.name)


if __name__ == "__main__":
    main()
