"""One configuration for all workloads at once: running what a calibration needs, and writing its result as an entry.

The points are sampled once and kept as a listed search space, so that every study and workload runs the same ones. A
point stands for an entry without tuning: it has the self-tuning ruleset's budget, as the reference has.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.config import load_document
from harness.entry import Entry, default_point, find_entry
from harness.errors import UsageError
from harness.plan import PlannedTrial, plan_trials
from harness.run import run
from harness.seeds import derive, digest
from harness.spec import Framework
from harness.suite import Request, load_suite, requests_of
from harness.tuning import RULESETS, RulesetName, sample
from harness.workloads import distinct, make_workload
from results.store import StoreError, trial_folder, write_json_atomically

if TYPE_CHECKING:
    from scoring.calibration import Calibration

Points = Sequence[Mapping[str, Any]]
SUFFIX = "_calibrated"


@dataclasses.dataclass(frozen=True)
class Search:
    """What is to be searched.

    Attributes:
      entry, framework: whose search space, and where it runs.
      reference: the submission whose times are the measure, with its defaults, in the same framework.
      points: sampled, each complete with the entry's defaults for what the search space leaves out.
      candidates, baseline: requests under the external and the self-tuning ruleset.
      out: folder of all runs; calibrations of several entries may share it, and then share the reference's runs.
    """

    entry: Entry
    framework: Framework
    reference: Entry
    points: Points
    candidates: Request
    baseline: Request
    out: Path

    @property
    def points_file(self) -> Path:
        return self.out / "points" / f"{self.entry.competitor(self.framework)}.json"

    @property
    def candidates_folder(self) -> Path:
        """Results of the points, apart from the reference's: a results folder has one ruleset."""
        return self.out / "candidates"

    @property
    def baseline_folder(self) -> Path:
        return self.out / "reference"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The calibration, what was odd, and how many trials ran now, are recorded without a failure, and failed."""

    calibration: Calibration
    notes: tuple[str, ...]
    ran: int
    measured: int
    failed: int


def plan_search(
    submission: str,
    *,
    suite: str,
    workloads: Sequence[str] = (),
    framework: Framework | None = None,
    reference: str = "nadamw_cosine",
    trials: int = 10,
    studies: int = 3,
    seed: int | None = None,
    out: Path,
    **changes: Any,
) -> Search:
    """Finds and checks everything that a calibration needs; starts nothing and writes nothing.

    Args:
      submission: the entry's name or path.
      suite: whose workloads, scale, track and seed are taken.
      workloads: full names in place of the suite's.
      framework: None for torch where the entry has it, else jax.
      reference: name or path of the submission to score against.
      trials, studies: points, and repetitions of each.
      seed: None for the suite's.
      out: results folder.
      changes: other fields of the requests (``budget_sec``, ``max_steps``, ``data_dir``, ``search_space``).

    Raises:
      UsageError: a name is unknown, the entry has no search space, the reference no defaults, or there is one study.
    """
    if studies < 2:
        raise UsageError("--studies 1: the nested score chooses on some studies and scores on another; use 2 or more")
    given = {name: value for name, value in changes.items() if value is not None}
    entry, base = find_entry(submission, given.pop("search_space", None)), load_suite(suite)
    if entry.search_space is None:
        raise UsageError(
            f"submission {entry.name} has no search_space, so there is nothing to search; add one, or give "
            "--search-space FILE"
        )
    chosen = framework or entry.frameworks[0]

    def request(name: str, ruleset: RulesetName) -> Request:
        (found,) = requests_of(base.model_copy(update={"rulesets": [ruleset], "submissions": []}))
        overrides: dict[str, Any] = {
            "submissions": ((name, chosen),),
            "workloads": distinct(workloads) or found.workloads,
            "studies": studies,
            "seed": found.seed if seed is None else seed,
            **given,
        }
        return dataclasses.replace(found, **overrides)

    candidates = dataclasses.replace(request(submission, "external"), trials=trials)
    points = [{**default_point(entry), **p} for p in sample(entry.search_space, trials, derive(seed=candidates.seed))]
    candidates = dataclasses.replace(candidates, trials=len(points))
    search = Search(entry, chosen, find_entry(reference), points, candidates, request(reference, "self_tuning"), out)
    plan_trials(search.baseline)
    plan_trials(dataclasses.replace(candidates, search_space=changes.get("search_space")))
    _check_points_file(search)
    return search


def _check_points_file(search: Search) -> int:
    """Number of points that were listed here before, 0 for none; the shorter list must begin the longer one.

    Raises:
      UsageError: other points are listed.
      StoreError: the file cannot be read.
    """
    path = search.points_file
    if not path.exists():
        return 0
    try:
        listed = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}; restore it, or choose another --out") from None
    for number, (old, new) in enumerate(zip(listed, search.points, strict=False), 1):
        if digest(old) != digest(new):
            raise UsageError(
                f"{path}: point {number} was {json.dumps(old)} and is now {json.dumps(new)}: the search space or the "
                "defaults have changed; choose another --out"
            )
    return len(listed)


def plan_candidates(search: Search, points_file: Path) -> list[PlannedTrial]:
    """All trials of the points: on each workload the self-tuning ruleset's budget, unless another one is asked for."""
    request = dataclasses.replace(search.candidates, search_space=points_file)
    factor = RULESETS["self_tuning"].budget_factor
    planned = []
    for name in request.workloads:
        allowed = make_workload(name, request.scale, request.data_dir).base_settings.max_runtime_sec * factor
        single = dataclasses.replace(request, workloads=(name,), budget_sec=request.budget_sec or allowed)
        planned += plan_trials(single)
    return planned


Part = tuple[Request, Path, list[PlannedTrial]]


def _parts(search: Search, points_file: Path) -> tuple[Part, Part]:
    """The reference's trials and the points', each with its request and its folder."""
    return (
        (search.baseline, search.baseline_folder, plan_trials(search.baseline)),
        (search.candidates, search.candidates_folder, plan_candidates(search, points_file)),
    )


def priced(search: Search, *, jobs: int, rerun_disturbed: int) -> list[dict[str, Any]]:
    """What a search would run and what that costs (:func:`harness.plan_view.report_of`), first of the reference, then
    of the points; nothing is written into its folder."""
    from harness.plan_view import report_of

    with tempfile.TemporaryDirectory() as folder:
        points_file = Path(folder) / search.points_file.name
        write_json_atomically(points_file, list(search.points))
        parts = _parts(search, points_file)
    return [report_of(request, planned, out, jobs, rerun_disturbed) for request, out, planned in parts]


def run_search(
    search: Search, *, jobs: int, clock: str = "wall", console: Console, replace_stale: bool = False,
    retry_failed: bool = False, across_machines: bool = False, rerun_disturbed: int = 0,
) -> Outcome:  # fmt: skip
    """Runs what is missing, the reference first, and scores all points. Unless the clock is ``steps``, runs of two
    machine classes are refused or, ``across_machines``, scaled, and runs whose machine was disturbed are repeated up
    to ``rerun_disturbed`` times.

    Raises:
      UsageError, StoreError: as :func:`harness.run.run`.
      ScoringError: the runs cannot be scored on this clock, or together.
    """
    from scoring.calibration import calibrate
    from scoring.calibration_results import read_times

    if len(search.points) > _check_points_file(search):
        write_json_atomically(search.points_file, list(search.points))
    parts = _parts(search, search.points_file)
    summaries = [
        run(request, folder, planned=planned, jobs=jobs, console=console, replace_stale=replace_stale,
            retry_failed=retry_failed, rerun_disturbed=rerun_disturbed if clock != "steps" else 0,
            one_machine=clock != "steps" and not across_machines)
        for request, folder, planned in parts
    ]  # fmt: skip
    baseline, candidates = (
        {trial.key: trial_folder(folder, trial.key) for trial in planned} for _, folder, planned in parts
    )
    times, notes = read_times(candidates, baseline, clock, across_machines)
    counts = (sum(getattr(summary, name) for summary in summaries) for name in ("ran", "measured", "failed"))
    return Outcome(calibrate(times), notes, *counts)


def check_writable(search: Search, path: Path) -> None:
    """Refuses what ``--write`` cannot do, before any training time is spent.

    Raises:
      UsageError: the entry is code, or the file is another composition's.
    """
    entry = search.entry
    if entry.kind != "composition":
        raise UsageError(
            f"--write: {entry.name} is code ({entry.path}), and only a composition can be written; run without it, "
            f"copy {entry.path.parent} to a folder {entry.name}{SUFFIX}, put the chosen point (chosen.hyperparameters "
            "of --json) into its submission.py in place of `hyperparameters`, which is None without tuning, and write "
            "`ruleset: self-tuning` into its submission_info.yml"
        )
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"--write {path}: a composition is a .yaml file; name one")
    if path.exists() and find_entry(str(path)).name != f"{entry.name}{SUFFIX}":
        raise UsageError(f"--write {path}: the file holds another entry; name a new file")


def write_calibrated(search: Search, calibration: Calibration, path: Path) -> Entry:
    """Writes the entry with the chosen point as its defaults, and reads it back.

    Raises:
      StoreError: the file cannot be written.
      UsageError: what was written is no sound composition.
    """
    import yaml

    data = dict(load_document(search.entry.path).data)
    data["name"] = f"{search.entry.name}{SUFFIX}"
    searched = ", ".join(search.candidates.workloads)
    data["summary"] = f"{search.entry.summary or search.entry.name}; one configuration calibrated on {searched}"
    data["defaults"] = dict(search.points[calibration.chosen])
    text = "".join(f"# {line}\n" for line in _provenance(search, calibration))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}; choose another file") from error
    return find_entry(str(path))


def _provenance(search: Search, calibration: Calibration) -> list[str]:
    request, nested = search.candidates, calibration.nested
    lines = [
        f"Point {calibration.chosen + 1} of {len(search.points)}, seed {request.seed}, {search.framework}, "
        f"{request.studies} studies, scored against {search.reference.name} on {', '.join(request.workloads)}.",
        f"Score {calibration.points[calibration.chosen].score:.4f} on the runs that it was chosen by",
    ]
    return lines if nested is None else [*lines[:-1], f"{lines[-1]}; nested score {nested.score:.4f}."]
