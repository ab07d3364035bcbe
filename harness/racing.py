"""``run --race``: ends trials which can no longer change a score, by the rules of :mod:`scoring.racing`.

The command follows what is recorded, and keeps each waiting or running trial's limit (:mod:`harness.limit`) up to date.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.checkpoint import CheckpointPlace
from harness.errors import UsageError
from harness.limit import NO_LIMIT, Limit, write_limit
from harness.machine import other_class
from harness.plan import PlannedTrial
from results.record import TrialRecord, TrialSpec
from results.store import DamagedRecordError, find_trials, read_trial
from scoring.benchmark import BASE_VARIANT
from scoring.profile import Layout
from scoring.racing import cut_of

_SAME = (
    "scale",
    "workload_version",
    "ruleset",
    "track",
    "metric",
    "direction",
    "validation_target",
    "budget_sec",
)
"""What an anchor's trials share with the planned ones of the same workload, since they are scored together."""


class Race:
    """Follows the records of a run and says when its trials are out.

    Args:
      planned: all trials of the run.
      out: its results folder; submissions in it that are not planned are scored along and may make a cut.
      anchors: other results folders that will be scored along, as whole as they are.

    Raises:
      UsageError: an anchor's folder holds another benchmark, or a submission that the run has too.
      StoreError: an anchor's record cannot be read.
    """

    def __init__(self, planned: Sequence[PlannedTrial], out: Path, anchors: Sequence[Path] = ()) -> None:
        self._out = out
        self._planned = {trial.key: trial.digest for trial in planned}
        self._specs = {trial.key.workload: trial.task.spec for trial in planned}
        self._times: dict[str, dict[str, dict[int, float]]] = {}
        self._best_trial: dict[tuple[str, str, int], int] = {}
        self._where: dict[str, Path] = {}
        self._waiting: dict[str, tuple[TrialSpec, CheckpointPlace, Limit]] = {}
        self._base_of: dict[str, str] = {}
        for key in self._planned:
            self._expect(self._specs[key.workload], key.submission, key.study)
        for folder in dict.fromkeys(anchor for anchor in anchors if anchor.resolve() != out.resolve()):
            self._add_anchor(folder)
        for record in _records_in(out):
            if self._planned.get(record.spec.key, record.digest) == record.digest:
                self._take(record)
        self._layout = self._layout_of_all()

    def _expect(self, spec: TrialSpec, submission: str, study: int) -> None:
        self._base_of[spec.key.workload] = "" if spec.variant == BASE_VARIANT else spec.base_workload
        self._times.setdefault(submission, {}).setdefault(spec.key.workload, {}).setdefault(study, math.inf)

    def _add_anchor(self, folder: Path) -> None:
        ours = {key.submission for key in self._planned}
        found = False
        for path in find_trials(folder):
            record = read_trial(path)
            key, spec = record.spec.key, record.spec
            wanted = self._specs.get(key.workload)
            if key.submission in ours:
                raise UsageError(
                    f"--anchor {folder}: {key.submission} is there and in this run, so that the two cannot be scored "
                    "together; run other submissions, or continue that folder with --out"
                )
            if wanted:
                self._refuse_other_machine(folder, record, wanted)
            for name in _SAME if wanted else ():
                there, here = getattr(spec, name), getattr(wanted, name)
                if there != here:
                    raise UsageError(
                        f"--anchor {folder}: {name} of {key.workload} is {there!r} in {path}, here {here!r}; its times "
                        "cannot be compared with this run's"
                    )
            self._take(record)
            self._where[key.submission] = folder
            found = True
        if not found:
            raise UsageError(f"--anchor {folder} holds no trials; give a folder of results, such as results/reference")

    @staticmethod
    def _refuse_other_machine(folder: Path, record: TrialRecord, wanted: TrialSpec) -> None:
        differs = other_class(record, wanted.threads, wanted.versions)
        if differs:
            raise UsageError(
                f"--anchor {folder}: its trials are of another machine class: {differs}; its times cannot be compared "
                "with this run's"
            )

    def _take(self, record: TrialRecord) -> None:
        key, crossing = record.spec.key, record.crossing
        self._expect(record.spec, key.submission, key.study)
        studies = self._times[key.submission][key.workload]
        if crossing is None or record.stop_reason.failed:
            return
        if crossing.wall <= record.spec.budget_sec and crossing.wall < studies[key.study]:
            studies[key.study] = crossing.wall
            self._best_trial[key.submission, key.workload, key.study] = key.trial

    def _layout_of_all(self) -> Layout:
        """As :func:`scoring.benchmark.of_own_runs` will find it: a variant is held out where its base was run too."""
        held_out = tuple(name for name, base in self._base_of.items() if base in self._base_of)
        base = tuple(name for name in self._base_of if name not in held_out)
        return Layout(base, held_out, tuple(base.index(self._base_of[name]) for name in held_out))

    # ---- limits ----

    def limit(self, spec: TrialSpec) -> Limit:
        """When a trial is out, as far as is known now."""
        key = spec.key
        studies = self._times[key.submission][key.workload]
        best = studies[key.study]
        trial = self._best_trial.get((key.submission, key.workload, key.study))
        times = {
            name: {workload: tuple(of.values()) for workload, of in cells.items()}
            for name, cells in self._times.items()
        }
        cut = cut_of(key.workload, times, self._layout, studies=len(studies))
        if best <= cut.seconds:
            return (best, f"trial {trial} of this study reached the target in {best:.1f} s") if trial else NO_LIMIT
        where = f" in {self._where[cut.submission]}" if cut.submission in self._where else ""
        factor = cut.seconds / max(times[cut.submission][key.workload])
        return cut.seconds, f"past the cut: {factor:.0f} times the slowest study of {cut.submission}{where}"

    def holds(self, record: TrialRecord) -> bool:
        """Whether a trial that racing stopped would be out by what is known now."""
        return record.submission_sec > self.limit(record.spec)[0]

    def follow(self, trials: Sequence[tuple[TrialSpec, CheckpointPlace]]) -> None:
        """Writes the limits of trials that are going to run."""
        for spec, place in trials:
            self._waiting[spec.key.folder] = spec, place, NO_LIMIT
        self._publish()

    def finished(self, record: TrialRecord) -> None:
        """Takes a new record, and brings the limits of the others up to date."""
        self._waiting.pop(record.spec.key.folder, None)
        self._take(record)
        self._publish()

    def _publish(self) -> None:
        for name, (spec, place, before) in self._waiting.items():
            limit = self.limit(spec)
            if limit != before:
                write_limit(place, limit)
                self._waiting[name] = spec, place, limit


def _records_in(out: Path) -> Iterator[TrialRecord]:
    """Of trials that can be read; a damaged one is set aside and run again."""
    for path in find_trials(out) if out.is_dir() else ():
        with contextlib.suppress(DamagedRecordError):
            yield read_trial(path)
