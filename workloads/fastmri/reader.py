"""Reads fastMRI's single-coil knees as NYU ships them (Zbontar et al. 2018, arXiv 1811.08839): HDF5, one file a volume.

singlecoil_train/*.h5    training
singlecoil_val/*.h5      in the order of their names: the first 100 are validation, the others test

AlgoPerf's setup calls these folders ``knee_singlecoil_train`` and ``knee_singlecoil_val``, which will do too.

A file has ``kspace`` complex64 ``[slices, rows, columns]``, ``reconstruction_esc`` float32 ``[slices, 320, 320]``, the
images to find, and the attribute ``max``, their largest value. Slices are read when they are picked.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from harness.spec import Settings
from workloads.fastmri import scans
from workloads.real_data import DataError, DataSource, Problem, damage, lazily, listed

SOURCE = DataSource(
    summary="fastMRI's single-coil knees",
    origin="NYU Langone Health and Facebook AI Research (Zbontar et al. 2018), https://fastmri.med.nyu.edu",
    terms="fastMRI Dataset Sharing Agreement; one has to register, and gets links by mail",
    size="113 GB with the test files, which are not needed",
    expected=(
        "singlecoil_train/*.h5 (973 files), or knee_singlecoil_train/*.h5",
        "singlecoil_val/*.h5 (199 files), or knee_singlecoil_val/*.h5",
    ),
)
_FOLDERS = {"train": "singlecoil_train", "validation": "singlecoil_val", "test": "singlecoil_val"}
_VALIDATION_FILES = 100
_PARTS = {"train": slice(None), "validation": slice(_VALIDATION_FILES), "test": slice(_VALIDATION_FILES, None)}
_REMEDY = "unpack this part of fastMRI again"
_SIDE = 320


@dataclasses.dataclass(frozen=True)
class Volume:
    """A file, the number of its slices, and ``max``."""

    path: Path
    slices: int
    largest: float


def check(folder: Path) -> list[Problem]:
    problems = []
    for name in dict.fromkeys(_FOLDERS.values()):
        paths = _paths(folder, name)
        if not paths:
            remedy = f"unpack fastMRI's archives of {name} (knee_{name}*) in {folder}"
            problems.append(Problem(folder / name, "holds no .h5 files", remedy))
        problems += [found for found in map(_volume, paths) if isinstance(found, Problem)]
    return problems


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    return {split: sum(volume.slices for volume in _volumes(folder, split)) for split in _FOLDERS}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Any]:
    """Lazy ``inputs`` float32 ``[n, 320, W, 2]`` (see :mod:`workloads.fastmri.scans`), where W is the largest width of
    those picked; ``width`` int32 ``[n]``; ``targets`` float32 ``[n, 320, 320]``; ``volume_max`` float32 ``[n]``."""
    volumes = _volumes(folder, split)
    owner = np.repeat(np.arange(len(volumes)), [volume.slices for volume in volumes])
    place = np.concatenate([np.arange(volume.slices) for volume in volumes])

    def fetch(positions: np.ndarray) -> dict[str, np.ndarray]:
        rows: dict[int, np.ndarray] = {}
        targets = np.empty((len(positions), _SIDE, _SIDE), np.float32)
        for number in np.unique(owner[positions]):
            chosen = np.flatnonzero(owner[positions] == number)
            for i, (scan, image) in zip(chosen, _read(volumes[number], place[positions[chosen]]), strict=True):
                rows[i], targets[i] = scan, image
        width = np.array([rows[i].shape[1] for i in range(len(positions))], np.int32)
        inputs = np.zeros((len(positions), _SIDE, width.max(initial=0), 2), np.float32)
        for i, scan in rows.items():
            inputs[i, :, : width[i]] = scans.as_pairs(scan)
        largest = np.array([volumes[number].largest for number in owner[positions]], np.float32)
        return {"inputs": inputs, "width": width, "targets": targets, "volume_max": largest}

    return lazily(folder, len(owner), ("inputs", "width", "targets", "volume_max"), fetch)


def _read(volume: Volume, slices: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and image of each slice."""
    found = []
    with damage(volume.path, "cannot be read", _REMEDY, KeyError), h5py.File(volume.path) as file:
        for number in slices:
            scan, image = scans.to_rows(file["kspace"][number], _SIDE), file["reconstruction_esc"][number]
            if not (np.isfinite(scan.view(np.float32)).all() and np.isfinite(image).all()):
                raise Problem(volume.path, f"slice {number} holds values that are no numbers", _REMEDY).error()
            found.append((scan, image))
    return found


def _paths(folder: Path, name: str) -> list[Path]:
    """The files of a part, which lie in one of two folders."""
    return listed(folder / f"knee_{name}", "*.h5") or listed(folder / name, "*.h5")


def _volumes(folder: Path, split: str) -> list[Volume]:
    """The split's files.

    Raises:
      DataError: one of them is damaged.
    """
    volumes = []
    for path in _paths(folder, _FOLDERS[split])[_PARTS[split]]:
        found = _volume(path)
        if isinstance(found, Problem):
            raise found.error()
        volumes.append(found)
    return volumes


def _volume(path: Path) -> Volume | Problem:
    state = path.stat()
    return _inspected(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _inspected(path: Path, size: int, changed: int) -> Volume | Problem:
    """What a file's header says; remembered while its size and date stay."""
    try:
        with damage(path, "not a whole HDF5 file", _REMEDY, RuntimeError), h5py.File(path) as file:
            kspace, images, largest = file.get("kspace"), file.get("reconstruction_esc"), file.attrs.get("max")
            if fault := _fault(kspace, images, largest):
                return Problem(path, fault, _REMEDY)
            return Volume(path, len(kspace), float(largest))
    except DataError as error:
        return error.problem


def _fault(kspace: Any, images: Any, largest: Any) -> str | None:
    for name, array in (("kspace", kspace), ("reconstruction_esc", images)):
        if not isinstance(array, h5py.Dataset):
            return f"has no array {name}"
    if kspace.ndim != 3 or kspace.dtype.kind != "c" or min(kspace.shape[1:]) < _SIDE:
        return f"kspace is {kspace.dtype} {kspace.shape}, no complex slices of at least {_SIDE} x {_SIDE}"
    if not len(kspace):
        return "has no slices"
    if images.shape != (len(kspace), _SIDE, _SIDE):
        return f"reconstruction_esc is {images.shape}, not {(len(kspace), _SIDE, _SIDE)} as kspace's slices call for"
    if images.dtype.kind != "f":
        return f"reconstruction_esc is {images.dtype}, no real numbers"
    if largest is None:
        return "has no attribute max"
    value = np.asarray(largest)
    if value.ndim or value.dtype.kind not in "fiu" or not 0 <= value < np.inf:
        return f"the attribute max is {value.tolist()!r}, no number from 0"
    return None
