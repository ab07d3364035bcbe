"""Trial folders: written whole or not at all, read back as records.

A folder is first written beside its place under a hidden temporary name, flushed, and renamed, so that a reader never
sees half a trial and a killed writer leaves nothing that looks like one. ``trial.json`` holds a checksum of itself and
of the files beside it; a folder that does not agree with them is damaged, and can be set aside under another name.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.record import EVALUATION_COLUMNS, FIRST_WITH_CHECKSUMS, NewerSchemaError, TrialKey, TrialRecord

TRIAL_FILE, EVALUATIONS_FILE, HPARAMS_FILE = "trial.json", "eval_measurements.csv", "hparams.json"
RIGHT_FILE = "test_right.npy"
RUN_FILE = "run.json"
"""In the root of a results folder: what it was made for, by which command, when and where."""
OWN_FOLDER = ".timetrial"
"""In the root of a results folder: what launches keep for themselves while they run."""
CHECKSUMS = "checksums"
"""The key of ``trial.json`` that holds, by file name, the SHA-256 of each file; of itself, without this key."""
_TEMPORARY_PREFIX = ".writing-"
_TRIAL_NAME = re.compile(r"trial_\d+")


class StoreError(Exception):
    """A result folder cannot be written or read; says which, why and how to mend it."""


class DamagedRecordError(StoreError):
    """A trial's folder does not hold what was once written to it."""


def write_trial(
    root: Path, record: TrialRecord, evaluations: Sequence[Mapping[str, Any]], right: np.ndarray | None = None
) -> Path:
    """Writes one trial's folder atomically, replacing an older record of the same trial; returns its path.

    Args:
      root: the results folder.
      record, evaluations: what is written.
      right: which test examples the last evaluated network classifies rightly ``[n]``, where that is known.

    Raises:
      StoreError: the disk is full or read-only.
    """
    final = root / record.spec.key.folder
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=final.parent))
        try:
            _write_evaluations(temporary / EVALUATIONS_FILE, evaluations)
            _write_json(temporary / HPARAMS_FILE, record.spec.hyperparameters or {})
            if right is not None:
                _write_right(temporary / RIGHT_FILE, right)
            data = record.to_json()
            _write_json(temporary / TRIAL_FILE, {**data, CHECKSUMS: _checksums(temporary, data)})
            temporary.chmod(0o755)
            if final.exists():
                replaced = Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=final.parent))
                final.rename(replaced / "old")
                temporary.rename(final)
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                temporary.rename(final)
            _flush_folder(final.parent)
        finally:
            if temporary.exists():
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"cannot write {final}: {error.strerror or error}; free space or choose another --out"
        ) from error
    return final


def read_trial(folder: Path) -> TrialRecord:
    """The record in a trial's folder, after its checksums (which the oldest records lack) were compared.

    Raises:
      DamagedRecordError: the file is missing from a trial's folder, is not JSON, lacks a field, or a file's checksum is
        another.
      StoreError: there is no such folder, the file cannot be read, or was written by a newer timetrial.
    """
    path = folder / TRIAL_FILE
    try:
        data = json.loads(path.read_bytes())
        checksums = data.pop(CHECKSUMS, {}) if isinstance(data, dict) else {}
        record = TrialRecord.from_json(data)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _TRIAL_NAME.fullmatch(folder.name) and folder.is_dir():
            raise DamagedRecordError(f"{path} is missing; {_REMEDY}") from None
        if isinstance(error, FileNotFoundError):
            raise StoreError(f"{folder} is no trial's folder: it holds no {TRIAL_FILE}; {_WHERE_TRIALS_LIE}") from None
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DamagedRecordError(f"{path}:{error.lineno}: not JSON ({error.msg}); {_REMEDY}") from None
    except NewerSchemaError as error:
        raise StoreError(f"{path}: {error}; read it with that version, or choose another folder") from None
    except ValueError as error:
        raise DamagedRecordError(f"{path}: {error}; {_REMEDY}") from None
    if not checksums and record.schema_version >= FIRST_WITH_CHECKSUMS:
        raise DamagedRecordError(f"{path}: {CHECKSUMS} is missing; {_REMEDY}")
    found = _checksums(folder, data) if checksums else {}
    for name, expected in checksums.items():
        if found.get(name) != expected:
            what = "has another checksum than when it was written" if name in found else "is missing"
            raise DamagedRecordError(f"{folder / name} {what}; {_REMEDY}")
    return record


def read_run(root: Path) -> dict[str, Any] | None:
    """What a results folder was made for; None where that is not recorded.

    Raises:
      DamagedRecordError: the file is not a JSON object.
      StoreError: it cannot be read.
    """
    path = root / RUN_FILE
    try:
        recorded = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; mend its permissions") from error
    except ValueError as error:
        raise DamagedRecordError(f"{path}: not JSON ({error}); {_RUN_REMEDY}") from None
    if not isinstance(recorded, dict):
        raise DamagedRecordError(f"{path}: not a JSON object; {_RUN_REMEDY}")
    return recorded


_WHERE_TRIALS_LIE = "trials lie in <results>/<submission>/study_<k>/<workload>_<pytorch|jax>/trial_<n>"
_RUN_REMEDY = "the command that made it sets it aside and makes it again"
_REMEDY = "the command that made it sets it aside and reruns the trial"


def _checksums(folder: Path, data: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 by name, of the trial's files and of the record's data."""
    found = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (EVALUATIONS_FILE, HPARAMS_FILE, RIGHT_FILE)
        if (folder / name).is_file()
    }
    return found | {TRIAL_FILE: hashlib.sha256(_as_json(data).encode()).hexdigest()}


def set_aside(folder: Path, why: str = "damaged") -> Path:
    """Renames a trial's folder to ``trial_<n>.<why>-<i>``, where nobody takes it for a trial; returns that.

    Raises:
      StoreError: it cannot be renamed.
    """
    target = folder.with_name(f"{folder.name}.{why}-{count_aside(folder, why) + 1}")
    try:
        folder.rename(target)
    except OSError as error:
        raise StoreError(f"cannot rename {folder}: {error.strerror}; mend its permissions or remove it") from error
    return target


def count_aside(folder: Path, why: str) -> int:
    """How many folders of that trial were set aside for that reason."""
    number = 0
    while folder.with_name(f"{folder.name}.{why}-{number + 1}").exists():
        number += 1
    return number


def read_evaluations(folder: Path) -> list[dict[str, float]]:
    """Rows of ``eval_measurements.csv`` as floats; empty cells are absent."""
    with (folder / EVALUATIONS_FILE).open(newline="") as file:
        return [{name: float(cell) for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def read_right(folder: Path) -> np.ndarray | None:
    """Which test examples a trial's last network classified rightly ``[n]``; None where that is not recorded."""
    try:
        stored = np.load(folder / RIGHT_FILE)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / RIGHT_FILE}: {error}; remove the folder to rerun the trial") from None
    bits = np.unpackbits(stored[1:])
    return bits[: len(bits) - (-int(stored[0])) % 8].astype(bool)


def find_trials(root: Path) -> Iterator[Path]:
    """Folders of finished trials below ``root``, in a stable order."""
    for path in sorted(root.glob(f"*/study_*/*/trial_*/{TRIAL_FILE}")):
        if _TRIAL_NAME.fullmatch(path.parent.name):
            yield path.parent


def trial_folder(root: Path, key: TrialKey) -> Path:
    return root / key.folder


def remove_leftovers(root: Path) -> int:
    """Removes what killed writers left behind; returns how many folders."""
    leftovers = list(root.glob(f"*/study_*/*/{_TEMPORARY_PREFIX}*"))
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)


def write_json_atomically(path: Path, data: Any) -> None:
    """Writes JSON to a temporary file and renames it into place.

    Raises:
      StoreError: the disk is full or read-only.
    """
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_json(temporary, data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another place"
        ) from error


def _as_json(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def _write_json(path: Path, data: Any) -> None:
    with path.open("w") as file:
        file.write(_as_json(data))
        file.flush()
        os.fsync(file.fileno())


def _write_right(path: Path, right: np.ndarray) -> None:
    """The number of examples modulo 8, and their bits."""
    with path.open("wb") as file:
        np.save(file, np.concatenate([[len(right) % 8], np.packbits(right)]).astype(np.uint8))
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes a renaming last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_evaluations(path: Path, evaluations: Sequence[Mapping[str, Any]]) -> None:
    others = sorted({name for row in evaluations for name in row} - set(EVALUATION_COLUMNS))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*EVALUATION_COLUMNS, *others], restval="")
        writer.writeheader()
        writer.writerows(evaluations)
        file.flush()
        os.fsync(file.fileno())
