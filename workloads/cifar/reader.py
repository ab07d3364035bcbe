"""Reads CIFAR-10 in its makers' binary form (Krizhevsky 2009).

cifar-10-batches-bin/data_batch_1.bin ... data_batch_5.bin    training, 10,000 records each
cifar-10-batches-bin/test_batch.bin                           test, 10,000 records

A record is one byte with the class, 0 to 9, and 3,072 bytes with the red, the green and the blue plane, row by row. The
last 5,000 training records are the validation split. :func:`prepare` unpacks the archive cifar-10-binary.tar.gz.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.spec import Settings
from workloads.cache import new_folder
from workloads.real_data import DataSource, Problem, checksum, damage, file_problems

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
INNER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)

RECORDS = 10_000
CLASSES = 10
_SIDE = 32
_RECORD_BYTES = 1 + 3 * _SIDE * _SIDE

_PREPARE = f"put {ARCHIVE} there, and run `timetrial data prepare cifar`"
_AGAIN = f"unpack {ARCHIVE} again"

SOURCE = DataSource(
    summary="CIFAR-10, binary version",
    origin=f"https://www.cs.toronto.edu/~kriz/cifar.html, {ARCHIVE} (Krizhevsky 2009)",
    terms="free to download, without a stated licence",
    size="162 MiB to download, 176 MiB on disk",
    expected=tuple(f"{INNER}/{name} ({RECORDS * _RECORD_BYTES:,} bytes)" for name in (*TRAIN_FILES, *TEST_FILES)),
)


def check(folder: Path) -> list[Problem]:
    """Files that are missing or of the wrong size."""
    inner = folder / INNER
    if not inner.is_dir():
        waiting = (folder / ARCHIVE).exists()
        remedy = "run `timetrial data prepare cifar`" if waiting else _PREPARE
        return [Problem(inner, "is not unpacked yet" if waiting else "there is no such folder", remedy)]
    return [
        problem
        for name in (*TRAIN_FILES, *TEST_FILES)
        for problem in file_problems(inner / name, _AGAIN, exactly=RECORDS * _RECORD_BYTES)
    ]


def prepare(folder: Path) -> None:
    """Unpacks the archive, after comparing its checksum; does nothing where that is done.

    Raises:
      WorkloadError: the archive is missing or damaged.
    """
    inner, archive = folder / INNER, folder / ARCHIVE
    if inner.exists():
        return
    if not archive.exists():
        raise Problem(archive, "is missing", "download it from its makers' page").error()
    if (found := checksum(archive, "md5")) != ARCHIVE_MD5:
        raise Problem(archive, f"has the MD5 checksum {found} instead of {ARCHIVE_MD5}", "download it again").error()
    broken = damage(
        archive, "cannot be unpacked", "download it again", tarfile.TarError, zlib.error, EOFError, KeyError
    )
    with broken, new_folder(inner) as temporary, tarfile.open(archive) as packed:
        for name in (*TRAIN_FILES, *TEST_FILES):
            member = packed.extractfile(f"{INNER}/{name}")
            if member is None:
                raise Problem(archive, f"{INNER}/{name} in it is not a file", "download it again").error()
            (temporary / name).write_bytes(member.read())


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, np.ndarray]:
    """``inputs`` uint8 ``[n, 32, 32, 3]``, ``targets`` int32 ``[n]``.

    Raises:
      WorkloadError: a file is missing or cut short, or holds a class that does not exist.
    """
    names = TEST_FILES if split == "test" else TRAIN_FILES
    records = np.concatenate([_records(folder / INNER / name) for name in names])
    if split != "test":
        held_out = settings.splits["validation"]
        records = records[-held_out:] if split == "validation" else records[:-held_out]
    planes = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    return {
        "inputs": np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        "targets": records[:, 0].astype(np.int32),
    }


def _records(path: Path) -> np.ndarray:
    """uint8 ``[RECORDS, _RECORD_BYTES]`` of one file."""
    for problem in file_problems(path, _AGAIN, exactly=RECORDS * _RECORD_BYTES):
        raise problem.error()
    records = np.fromfile(path, np.uint8).reshape(RECORDS, _RECORD_BYTES)
    wrong = np.flatnonzero(records[:, 0] >= CLASSES)
    if len(wrong):
        what = f"record {wrong[0]} has the class {records[wrong[0], 0]}, beyond {CLASSES - 1}"
        raise Problem(path, what, _AGAIN).error()
    return records
