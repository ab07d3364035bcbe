"""A second implementation of the scores, deliberately naive, on random logs: ties, misses, NaN, absent cells."""

import csv
import itertools
import math
import statistics
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from results.evaluations import Goal
from results.synthetic import write_logs
from scoring import api

BASE, VARIANTS = ("u", "v"), ("u_x", "v_x", "v_y")
GOALS = {
    name: Goal("accuracy", "maximize", 0.9, 20.0) if name[0] == "u" else Goal("loss", "minimize", 0.1, 20.0)
    for name in (*BASE, *VARIANTS)
}

clock = st.integers(1, 12).map(float)
metric = st.sampled_from([0.05, 0.1, 0.5, 0.9, 0.95, math.nan])
curves = st.lists(st.tuples(clock, metric), min_size=1, max_size=4, unique_by=lambda point: point[0]).map(sorted)
trial = curves | clock | st.just(math.inf)
studies = st.lists(st.lists(trial, min_size=1, max_size=3), min_size=1, max_size=4)
fields = st.dictionaries(
    st.sampled_from("ABCD"), st.dictionaries(st.sampled_from([*BASE, *VARIANTS]), studies, min_size=1), min_size=1
)


def naive_study_time(folders, goal, rules):
    """The time of one study: reads each trial's file anew."""
    hits = []
    for folder in folders:
        with (folder / "eval_measurements.csv").open() as file:
            for index, row in enumerate(csv.DictReader(file)):
                value = float(row[f"validation/{goal.metric}"])
                if value <= goal.target if goal.direction == "minimize" else value >= goal.target:
                    hits.append((index, float(row["accumulated_submission_time"]), float(row["global_step"])))
                    break
    if rules == "exact":
        return min((time for _, time, _ in hits if time <= goal.budget_sec), default=math.inf)
    if not hits:
        return math.inf
    best = None
    for hit in hits:
        if best is None or hit[0] < best[0] or (hit[0] == best[0] and hit[2] > best[2] and hit[1] < best[1]):
            best = hit
    return best[1]


def naive_scores(root, rules):
    submissions = sorted(path.name for path in root.iterdir())
    time = {}
    for submission in submissions:
        for workload in GOALS:
            values = [
                naive_study_time(sorted((study / f"{workload}_jax").iterdir()), GOALS[workload], rules)
                for study in sorted((root / submission).iterdir())
                if (study / f"{workload}_jax").exists()
            ]
            time[submission, workload] = statistics.median(values) if values else math.inf
    ran = {w for w in GOALS if any((root / s / "study_1" / f"{w}_jax").exists() for s in submissions)}
    base = [workload for workload in BASE if workload in ran]
    variants = [workload for workload in VARIANTS if workload in ran and workload[0] in base]
    for submission in submissions:
        for variant in variants:
            if time[submission, variant[0]] == math.inf:
                time[submission, variant] = math.inf
    for workload in (*base, *variants):
        fastest = min(time[submission, workload] for submission in submissions)
        for submission in submissions:
            if time[submission, workload] > 4 * fastest:
                time[submission, workload] = math.inf
    for submission in submissions:
        for variant in variants:
            if time[submission, variant] == math.inf:
                time[submission, variant[0]] = math.inf
    scores = {}
    for submission in submissions:
        ratios = []
        for workload in base:
            fastest = min(time[other, workload] for other in submissions)
            mine = time[submission, workload]
            ratios.append(mine / fastest if mine < math.inf else math.inf)
        scores[submission] = naive_integral(ratios, rules)
    return scores


def naive_integral(ratios, rules):
    if rules == "exact":
        corners = sorted({1.0, 4.0, *(ratio for ratio in ratios if ratio <= 4)})
        steps = itertools.pairwise(corners)
        return sum((b - a) * sum(ratio <= a for ratio in ratios) / len(ratios) for a, b in steps) / 3
    taus = [1 + 3 * i / 99 for i in range(100)]
    heights = [sum(ratio <= tau for ratio in ratios) / len(ratios) for tau in taus]
    return sum((a + b) / 2 * 3 / 99 for a, b in itertools.pairwise(heights)) / 3


@settings(max_examples=40, deadline=None)
@given(outcomes=fields.filter(lambda field: any(w in BASE for cells in field.values() for w in cells)))
def test_the_scorer_agrees_with_a_naive_one(outcomes):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "bench.yaml").write_text(
            'version: "naive"\nrulesets: {external: {studies: 4, trials: 3}}\n'
            "base_workloads: [u, v]\nheld_out_workloads: [u_x, v_x, v_y]\nworkloads:\n"
            + "".join(
                f"  {name}: {{metric: {goal.metric}, direction: {goal.direction}, target: {goal.target}, "
                f"budget_sec: {goal.budget_sec}{', base: ' + name[0] if '_' in name else ''}}}\n"
                for name, goal in GOALS.items()
            )
        )
        write_logs(root / "logs", outcomes, GOALS)
        for rules in ("exact", "official"):
            board = api.score([root / "logs"], benchmark=root / "bench.yaml", rules=rules, draws=0)
            assert {e.submission: round(e.score, 9) for e in board.entries} == {
                name: round(score, 9) for name, score in naive_scores(root / "logs", rules).items()
            }
