"""The reader of MNIST, on small idx files: plain and gzipped, cut short, corrupted and contradictory."""

from __future__ import annotations

import dataclasses
import gzip
import struct

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads.mnist import reader
from workloads.mnist.workload import WORKLOAD
from workloads.real_data import DataError

SETTINGS = dataclasses.replace(
    WORKLOAD.settings["full"], splits={"train": 40, "eval_train": 10, "validation": 20, "test": 30}
)
COUNTS = {"train": 60, "t10k": 30}
FILES = [f"{part}-{kind}" for part in COUNTS for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


@pytest.fixture
def digits():
    random = np.random.RandomState(0)
    return {
        part: (random.randint(0, 256, (n, 28, 28)).astype(np.uint8), random.randint(0, 10, n).astype(np.uint8))
        for part, n in COUNTS.items()
    }


@pytest.fixture
def folder(tmp_path, digits):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, (images, labels) in digits.items():
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


def unpack(folder):
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("unpacked", [False, True])
def test_splits_are_read_with_the_tail_of_train_as_validation(folder, digits, unpacked):
    if unpacked:
        unpack(folder)
    assert reader.check(folder) == []
    assert reader.sizes(folder, SETTINGS) == {"train": 40, "validation": 20, "test": 30}
    for split, part, rows in (("train", "train", slice(0, 40)), ("validation", "train", slice(40, 60)),
                              ("test", "t10k", slice(0, 30))):  # fmt: skip
        images, labels = digits[part]
        found = reader.load_split(folder, split, SETTINGS)
        assert found["inputs"].dtype == np.float32 and found["targets"].dtype == np.int32
        np.testing.assert_array_equal(found["targets"], labels[rows])
        expected = (images[rows].astype(float) - 0.1307) / 0.3081
        np.testing.assert_allclose(found["inputs"][..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_full_scale_trains_and_evaluates_on_what_is_read(folder, monkeypatch, train_at_full_scale, framework):
    monkeypatch.setitem(WORKLOAD.settings, "full", dataclasses.replace(SETTINGS, batch_size=8))
    outcome, row = train_at_full_scale("mnist", folder.parent, framework)
    assert (outcome.steps, outcome.batch_size) == (3, 8)
    assert 0 <= row["validation/accuracy"] <= 1 and row["test/loss"] > 0


def test_another_size_than_mnists_is_refused(folder):
    with pytest.raises(WorkloadError, match="the split train has -9,940 examples instead of 50,000"):
        WORKLOAD("base", "full", folder.parent).load_split("test")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_or_damaged_file_is_named_with_the_remedy(folder, file, damage):
    path = folder / f"{file}.gz"
    damage(path)
    split = "train" if "train" in file else "test"
    with pytest.raises(DataError) as caught:
        for problem in reader.check(folder):
            raise problem.error()
        reader.load_split(folder, split, SETTINGS)
    assert str(folder / file) in str(caught.value)
    assert "download this file of MNIST again" in str(caught.value)


def test_every_bad_file_is_listed(folder):
    for file in FILES:
        (folder / f"{file}.gz").write_bytes(b"<html>")
    problems = reader.check(folder)
    assert [problem.file.name for problem in problems] == [f"{file}.gz" for file in FILES]
    assert all("not a whole gzip file" in problem.what for problem in problems)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("t10k-images-idx3-ubyte", idx(np.zeros((30, 28, 28), np.uint8))[:9_000], "declares 30 x 28 x 28 bytes and ho"),
        (
            "t10k-images-idx3-ubyte",
            idx(np.zeros((30, 28, 28), np.uint8))[:16],
            "declares 30 x 28 x 28 bytes and holds 0",
        ),
        ("t10k-images-idx3-ubyte", idx(np.zeros((30, 28, 28), np.uint8)) + b"x", "and holds 23,521"),
        (
            "train-labels-idx1-ubyte",
            idx(np.zeros(50, np.uint8)),
            "holds 50 labels, but train-images-idx3-ubyte.gz 60 i",
        ),
    ],
)
def test_what_the_headers_contradict_is_seen_before_all_is_read(folder, file, content, message, zipped):
    (folder / f"{file}.gz").unlink()
    (folder / (f"{file}.gz" if zipped else file)).write_bytes(gzip.compress(content) if zipped else content)
    (problem,) = reader.check(folder)
    if zipped and "t10k" in file:
        message = "is cut short or damaged: its end does not fit the 30 x 28 x 28 bytes it declares"
    assert message in str(problem)


def test_a_gzip_file_that_is_cut_short_behind_its_header_is_seen_before_all_is_read(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:20_000])
    (problem,) = reader.check(folder)
    assert problem.file == path and "is cut short or damaged" in problem.what


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte", idx(np.zeros((60, 28, 27), np.uint8)), "declares 60 x 28 x 27, no images of 28"),
        ("train-images-idx3-ubyte", idx(np.zeros((60, 28, 28), np.uint8))[:-1], "declares 60 x 28 x 28 bytes and hol"),
        ("train-images-idx3-ubyte", idx(np.zeros((59, 28, 28), np.uint8)), "holds 60 labels, but train-images-idx3-u"),
        ("train-images-idx3-ubyte", b"\0\0\x0d\3" + bytes(60), "not an idx file of bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", b"\0\0\x08\3" + bytes(6), "not an idx file of bytes in 3 dimensions"),
        ("train-labels-idx1-ubyte", idx(np.full(60, 10, np.uint8)), "label 0 is 10, no digit"),
        ("train-labels-idx1-ubyte", idx(np.zeros((60, 1), np.uint8)), "not an idx file of bytes in 1 dimensions"),
    ],
)
def test_what_is_no_mnist_is_told(folder, file, content, message):
    (folder / f"{file}.gz").unlink()
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        reader.load_split(folder, "train", SETTINGS)
