"""Finding trial folders: ``<submission>/study_k/<workload>_<jax|pytorch>/trial_n``, ours and AlgoPerf's alike."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from results.irregularities import Irregularities
from results.record import FRAMEWORK_SUFFIX
from results.store import EVALUATIONS_FILE, StoreError

STUDY, TRIAL = re.compile(r"study_(\d+)$"), re.compile(r"trial_(\d+)$")
ASIDE = re.compile(r"trial_\d+\.(damaged|disturbed)-\d+$")
FRAMEWORK_OF_SUFFIX = {suffix: framework for framework, suffix in FRAMEWORK_SUFFIX.items()}


@dataclasses.dataclass(frozen=True)
class Place:
    """A trial's folder, and what its path says."""

    submission: str
    workload: str
    framework: str
    study: int
    trial: int
    folder: Path

    @property
    def key(self) -> tuple[str, str, int, int]:
        return (self.submission, self.workload, self.study, self.trial)


def find_places(directories: Sequence[Path], odd: Irregularities) -> list[Place]:
    """Trial folders below the directories: each is a folder of submissions, or one submission's folder.

    Raises:
      StoreError: a directory is missing or holds no trial, or the same trial lies in two places.
    """
    places: dict[tuple[str, str, int, int], Place] = {}
    for directory in dict.fromkeys(Path(directory) for directory in directories):
        found = list(_places_below(directory, odd))
        if not found:
            raise StoreError(
                f"{directory} holds no trials; expected <submission>/study_<k>/<workload>_<jax|pytorch>/trial_<n>/"
                f"{EVALUATIONS_FILE} below it"
            )
        for place in found:
            other = places.setdefault(place.key, place)
            if other is not place:
                raise StoreError(f"the same trial twice: {other.folder} and {place.folder}; remove or rename one")
    return [places[key] for key in sorted(places)]


def _places_below(directory: Path, odd: Irregularities) -> Iterator[Place]:
    if not directory.is_dir():
        raise StoreError(f"{directory} is not a directory; give a folder of runs or logs")
    if any(STUDY.match(path.name) for path in _folders(directory)):
        yield from _places_of_submission(directory.resolve(), odd)
        return
    for submission in _folders(directory):
        yield from _places_of_submission(submission, odd)


def _places_of_submission(submission: Path, odd: Irregularities) -> Iterator[Place]:
    for study in _folders(submission):
        study_match = STUDY.match(study.name)
        if not study_match:
            continue
        for cell in _folders(study):
            workload, _, suffix = cell.name.rpartition("_")
            if suffix not in FRAMEWORK_OF_SUFFIX or not workload:
                odd.add(
                    "unrecognised_folder",
                    "not named <workload>_jax or <workload>_pytorch; ignored",
                    submission=submission.name,
                    where=str(cell),
                )
                continue
            for trial in _folders(cell):
                trial_match = TRIAL.match(trial.name)
                if trial_match:
                    yield Place(
                        submission.name,
                        workload,
                        FRAMEWORK_OF_SUFFIX[suffix],
                        int(study_match[1]),
                        int(trial_match[1]),
                        trial,
                    )
                else:
                    aside = ASIDE.match(trial.name)
                    odd.add(
                        "set_aside" if aside else "unrecognised_folder",
                        f"a {aside[1]} trial that was set aside; ignored" if aside else "not named trial_<n>; ignored",
                        submission=submission.name,
                        workload=workload,
                        where=str(trial),
                    )


def _folders(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir())
