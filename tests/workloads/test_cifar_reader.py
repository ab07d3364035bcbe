"""The reader of CIFAR-10's binary files, on short ones: whole, packed, cut short, corrupted and missing."""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads.cifar import reader
from workloads.cifar.workload import WORKLOAD

RECORDS = 20
SETTINGS = dataclasses.replace(
    WORKLOAD.settings["full"], splits={"train": 70, "eval_train": 10, "validation": 30, "test": 20}
)
NAMES = (*reader.TRAIN_FILES, *reader.TEST_FILES)


@pytest.fixture(autouse=True)
def short_files(monkeypatch):
    monkeypatch.setattr(reader, "RECORDS", RECORDS)


@pytest.fixture
def pictures():
    """By file: classes ``[20]`` and pixels ``[20, 32, 32, 3]``."""
    random = np.random.RandomState(0)
    return {name: (random.randint(10, size=RECORDS), random.randint(256, size=(RECORDS, 32, 32, 3))) for name in NAMES}


@pytest.fixture
def folder(tmp_path, pictures):
    (tmp_path / reader.INNER).mkdir()
    for name, (classes, pixels) in pictures.items():
        with (tmp_path / reader.INNER / name).open("wb") as file:
            for label, pixel in zip(classes, pixels, strict=True):
                file.write(bytes([label]))
                for channel in range(3):
                    file.write(bytes(pixel[:, :, channel].ravel().tolist()))
    return tmp_path


def test_splits_are_read_with_the_tail_of_train_as_validation(folder, pictures):
    assert reader.check(folder) == []
    train = [np.concatenate([pictures[name][part] for name in reader.TRAIN_FILES]) for part in (0, 1)]
    expected = {
        "train": [array[:70] for array in train],
        "validation": [array[70:] for array in train],
        "test": pictures["test_batch.bin"],
    }
    for split, (classes, pixels) in expected.items():
        found = reader.load_split(folder, split, SETTINGS)
        assert found["inputs"].dtype == np.uint8 and found["targets"].dtype == np.int32
        np.testing.assert_array_equal(found["inputs"], pixels)
        np.testing.assert_array_equal(found["targets"], classes)


@pytest.fixture
def packed(folder, monkeypatch):
    """The archive alone."""
    archive = folder / reader.ARCHIVE
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / reader.INNER, reader.INNER)
    for path in (folder / reader.INNER).iterdir():
        path.unlink()
    (folder / reader.INNER).rmdir()
    monkeypatch.setattr(reader, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    return folder


def test_the_archive_is_unpacked_once(packed, pictures):
    (problem,) = reader.check(packed)
    assert problem.what == "is not unpacked yet" and "timetrial data prepare cifar" in problem.remedy
    reader.prepare(packed)
    assert reader.check(packed) == []
    np.testing.assert_array_equal(reader.load_split(packed, "test", SETTINGS)["inputs"], pictures["test_batch.bin"][1])
    (packed / reader.ARCHIVE).write_bytes(b"")
    reader.prepare(packed)  # nothing is left to do
    assert sorted(path.name for path in packed.iterdir()) == sorted([reader.INNER, reader.ARCHIVE])


@pytest.mark.parametrize("rightly_summed", [False, True])
def test_a_damaged_archive_leaves_nothing(packed, monkeypatch, rightly_summed):
    archive = packed / reader.ARCHIVE
    archive.write_bytes(archive.read_bytes()[:-2000])
    message = "has the MD5 checksum"
    if rightly_summed:
        monkeypatch.setattr(reader, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
        message = "cannot be unpacked"
    with pytest.raises(WorkloadError, match=f"{reader.ARCHIVE}: {message}.*download it again"):
        reader.prepare(packed)
    assert [path.name for path in packed.iterdir()] == [reader.ARCHIVE]


def test_a_missing_archive_is_asked_for(tmp_path):
    with pytest.raises(WorkloadError, match=f"{reader.ARCHIVE}: is missing; download it"):
        reader.prepare(tmp_path)
    (problem,) = reader.check(tmp_path)
    assert reader.ARCHIVE in problem.remedy


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 61,459 bytes instead of 61,460"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "record 0 has the class 10, beyond 9"),
    ],
)
def test_damage_is_told_with_the_file_and_the_remedy(folder, damage, what):
    damage(folder / reader.INNER / "data_batch_3.bin")
    with pytest.raises(WorkloadError, match=f"data_batch_3.bin: {what}; unpack {reader.ARCHIVE} again"):
        reader.load_split(folder, "train", SETTINGS)
    assert len(reader.load_split(folder, "test", SETTINGS)["targets"]) == RECORDS
