"""Reads MNIST's four idx files (LeCun et al. 1998), gzipped or not; validation is the tail of the training images."""

from __future__ import annotations

import functools
import gzip
import io
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from harness.spec import Settings
from workloads.real_data import DataSource, Problem, file_problems, problem_in

SOURCE = DataSource(
    summary="MNIST, 70,000 handwritten digits as four idx files",
    origin="LeCun, Cortes and Burges 1998, http://yann.lecun.com/exdb/mnist, which refuses downloads now; "
    "a mirror is https://ossci-datasets.s3.amazonaws.com/mnist/",
    terms="Creative Commons Attribution-Share Alike 3.0; no registration",
    size="12 MB to download, 55 MB unpacked",
    expected=("{train,t10k}-images-idx3-ubyte[.gz]", "{train,t10k}-labels-idx1-ubyte[.gz]"),
)
_REMEDY = "download this file of MNIST again"
_SIDE, _CLASSES = 28, 10
_UNSIGNED_BYTES = 8
"""The type code of an idx file's third byte."""


def check(folder: Path) -> list[Problem]:
    parts = [[path(folder, part, kind) for kind in ("images", "labels")] for part in ("train", "t10k")]
    damaged = [
        problem
        for files in parts
        for file in files
        for problem in file_problems(file, _REMEDY) or problem_in(functools.partial(_look, file))
    ]
    return damaged or [p for files in parts for p in problem_in(functools.partial(_expect_as_many, *files))]


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    counts = {part: _header(path(folder, part, "images"))[0] for part in ("train", "t10k")}
    held_out = settings.splits["validation"]
    return {"train": counts["train"] - held_out, "validation": held_out, "test": counts["t10k"]}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, np.ndarray]:
    """``inputs`` float32 ``[n, 28, 28, 1]``, standardised with the data configuration's mean and deviation of the
    pixels 0-255, and ``targets`` int32 ``[n]``."""
    part = "t10k" if split == "test" else "train"
    pixels, labels = (_read(path(folder, part, kind)) for kind in ("images", "labels"))
    images_path, labels_path = path(folder, part, "images"), path(folder, part, "labels")
    _expect_as_many(images_path, labels_path)
    if labels.size and labels.max() >= _CLASSES:
        first = int(np.argmax(labels >= _CLASSES))
        raise Problem(labels_path, f"label {first} is {labels[first]}, no digit", _REMEDY).error()
    first_held_out = len(pixels) - settings.splits["validation"]
    rows = {"train": slice(0, first_held_out), "validation": slice(first_held_out, None), "test": slice(None)}[split]
    mean, std = np.float32(settings.data["pixel_mean"]), np.float32(settings.data["pixel_std"])
    return {
        "inputs": ((pixels[rows].astype(np.float32) - mean) / std)[..., None],
        "targets": labels[rows].astype(np.int32),
    }


def path(folder: Path, part: str, kind: str) -> Path:
    """The file of images or labels: gzipped where only that is there."""
    plain = folder / f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
    zipped = plain.with_name(f"{plain.name}.gz")
    return zipped if zipped.exists() and not plain.exists() else plain


def _open(file: Path) -> BinaryIO:
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _header(file: Path) -> tuple[int, ...]:
    """The dimensions that an idx file declares, after a look at its type; leaves the content unread."""
    return _parse(file, 0)[0]


def _look(file: Path) -> None:
    """Compares the header with the size, which a whole gzip file gives in its last four bytes."""
    shape = _header(file)
    header = 4 + 4 * len(shape)
    if file.suffix != ".gz":
        _expect_size(file, shape, file.stat().st_size - header)
        return
    with file.open("rb") as stream:
        stream.seek(-4, io.SEEK_END)
        (size,) = struct.unpack("<I", stream.read(4))
    if size != header + math.prod(shape):
        what = f"is cut short or damaged: its end does not fit the {' x '.join(map(str, shape))} bytes it declares"
        raise Problem(file, what, _REMEDY).error()


def _expect_as_many(images: Path, labels: Path) -> None:
    (pictures, *_), (answers,) = _header(images), _header(labels)
    if pictures != answers:
        what = f"holds {answers:,} labels, but {images.name} {pictures:,} images"
        raise Problem(labels, what, _REMEDY).error()


def _expect_size(file: Path, shape: tuple[int, ...], found: int) -> None:
    if found != math.prod(shape):
        what = f"declares {' x '.join(map(str, shape))} bytes and holds {found:,}"
        raise Problem(file, what, _REMEDY).error()


def _read(file: Path) -> np.ndarray:
    shape, content = _parse(file, -1)
    _expect_size(file, shape, len(content))
    return np.frombuffer(content, np.uint8).reshape(shape)


def _parse(file: Path, size: int) -> tuple[tuple[int, ...], bytes]:
    """Dimensions and the first ``size`` bytes of the content (-1: all)."""
    dimensions = 3 if "images" in file.name else 1
    try:
        with _open(file) as stream:
            magic, head = stream.read(4), stream.read(4 * dimensions)
            content = stream.read(size)
    except EOFError:
        raise Problem(file, "the file is cut short", _REMEDY).error() from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Problem(file, f"not a whole gzip file ({error})", _REMEDY).error() from None
    if magic != bytes([0, 0, _UNSIGNED_BYTES, dimensions]) or len(head) < 4 * dimensions:
        raise Problem(file, f"not an idx file of bytes in {dimensions} dimensions", _REMEDY).error()
    shape = struct.unpack(f">{dimensions}i", head)
    if shape[0] < 1 or shape[1:] != (_SIDE, _SIDE)[: dimensions - 1]:
        raise Problem(file, f"declares {' x '.join(map(str, shape))}, no images of 28 x 28", _REMEDY).error()
    return shape, content
