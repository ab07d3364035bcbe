"""Reads Criteo's 1 TB click logs from text shards ``day_D_NN``, a batch at a time, through an index of line starts.

Days 0 to 22 are for training; of day 23 the first 19 shards are the test split and the others the validation split. A
shard is read where the wanted lines are: its index (``index/day_D_NN.npy``, made by ``prepare``) holds the byte at
which every 4,096th line starts.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.spec import Settings
from workloads.criteo1tb import lines
from workloads.real_data import (
    DataError,
    DataSource,
    Lazy,
    Problem,
    file_problems,
    lazily,
    listed,
    log,
    new_file,
    saved_array,
)

SOURCE = DataSource(
    summary="the Criteo 1 TB click logs, 24 days as text shards of 5,000,000 lines",
    origin="Criteo AI Lab, https://ailab.criteo.com/ressources (Download Criteo 1TB Click Logs dataset)",
    terms="Criteo's own terms (CC BY-NC-SA 4.0), to be accepted there",
    size="about 342 GB to download, 1.1 TB on disk",
    expected=(
        "day_0_00, day_0_01, ... day_22_NN, day_23_00 ... day_23_35, each day D cut by",
        "gunzip -c day_D.gz | split -l 5000000 -d - day_D_",
    ),
)
DAYS, TEST_SHARDS, STEP = 24, 19, 4_096
_UNINDEXED = "run `timetrial data prepare criteo1tb`, which reads each shard once"
_PIECE = 1 << 20
"""Bytes; pieces that fit into a processor's cache take four fifths of the time of larger ones."""


def check(folder: Path) -> list[Problem]:
    found, problems = _shards(folder), []
    for day in range(DAYS):
        numbers = [number for d, number in found if d == day]
        gone = sorted(set(range(max(numbers, default=0) + 1)) - set(numbers))
        problems += [Problem(folder / f"day_{day}_{n:02d}", "is missing", lines.REMEDY) for n in gone]
    for path in found.values():
        problems += file_problems(path, lines.REMEDY) or _index_problems(path)
    return problems


def prepare(folder: Path) -> None:
    """Indexes every shard that is not indexed yet, or has changed since; finds on the way lines cut short, bytes that
    are none of a label, a count or a code, and a shard that broke off within its last line."""
    (folder / "index").mkdir(exist_ok=True)
    for path in _shards(folder).values():
        if _index_problems(path):
            log.info("indexing %s", path)
            with new_file(_index_path(path)) as file:
                np.save(file, _line_starts(path))


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    return {split: Shards.of(folder, split).count for split in ("train", "validation", "test")}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Lazy]:
    """``inputs`` float32 ``[n, 39]`` as in the mini data (logs of counts, then rows of the table), ``targets`` float32
    ``[n, 1]``; both lazy."""
    shards = Shards.of(folder, split)
    fetch = functools.partial(shards.fetch, vocabulary=settings.model["vocabulary"])
    return lazily(folder, shards.count, ("inputs", "targets"), fetch)


@dataclasses.dataclass(frozen=True)
class Shards:
    """Shards of one split as one long table of lines.

    Attributes:
      starts: position of each shard's first line, and behind the last one the number of all.
      indices: bytes at which every STEP-th line starts, and behind them the shard's size.
    """

    paths: Sequence[Path]
    starts: np.ndarray
    indices: Sequence[np.ndarray]

    @classmethod
    def of(cls, folder: Path, split: str) -> Shards:
        held_out = {"train": False, "validation": True, "test": True}[split]
        chosen = [
            path
            for (day, number), path in sorted(_shards(folder).items())
            if (day == DAYS - 1) == held_out and (not held_out or (number < TEST_SHARDS) == (split == "test"))
        ]
        indices = [_load_index(path) for path in chosen]
        return cls(chosen, np.cumsum([0, *(index[0] for index in indices)]), [index[1:] for index in indices])

    @property
    def count(self) -> int:
        return int(self.starts[-1])

    def fetch(self, positions: np.ndarray, vocabulary: int) -> dict[str, np.ndarray]:
        """Lines at any positions; neighbours are read together."""
        order = np.argsort(positions, kind="stable")
        wanted = positions[order]
        shard_of = np.searchsorted(self.starts, wanted, "right") - 1
        cuts = np.flatnonzero((np.diff(wanted) > STEP) | (np.diff(shard_of) > 0)) + 1
        table = np.empty((len(positions), lines.COLUMNS), np.float32)
        for run in np.split(np.arange(len(wanted)), cuts):
            if len(run):
                shard = int(shard_of[run[0]])
                table[order[run]] = self._lines(shard, wanted[run] - self.starts[shard], vocabulary)
        return {"inputs": table[:, 1:], "targets": table[:, :1]}

    def _lines(self, shard: int, rows: np.ndarray, vocabulary: int) -> np.ndarray:
        """Lines of one shard, in ascending order and near each other."""
        path, index = self.paths[shard], self.indices[shard]
        first, last = int(rows[0]), int(rows[-1])
        begin, end = first // STEP, min(last // STEP + 1, len(index) - 1)
        with path.open("rb") as file:
            file.seek(index[begin])
            text = file.read(index[end] - index[begin])
        text = text if text.endswith(b"\n") else text + b"\n"
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
        count = int(self.starts[shard + 1] - self.starts[shard])
        if len(ends) != min(end * STEP, count) - begin * STEP:
            remedy = f"delete {_index_path(path)}, and {_UNINDEXED}"
            raise Problem(path, "has changed since it was indexed", remedy).error()
        skipped = first - begin * STEP
        start = int(ends[skipped - 1]) if skipped else 0
        parsed = lines.parse(text[start : int(ends[last - begin * STEP])], vocabulary, path, first + 1)
        return parsed[rows - first]


def _shards(folder: Path) -> dict[tuple[int, int], Path]:
    """Shards by day and number."""
    matches = ((re.fullmatch(r"day_(\d+)_(\d+)", path.name), path) for path in listed(folder, "day_*_*"))
    return {(int(match[1]), int(match[2])): path for match, path in matches if match}


def _index_path(shard: Path) -> Path:
    return shard.parent / "index" / f"{shard.name}.npy"


def _index_problems(shard: Path) -> list[Problem]:
    if not _index_path(shard).exists():
        return [Problem(shard, "is not indexed yet", _UNINDEXED)]
    try:
        indexed = _load_index(shard)[-1]
    except DataError as error:
        return [error.problem]
    return [] if indexed == shard.stat().st_size else [Problem(shard, "has changed since it was indexed", _UNINDEXED)]


def _load_index(shard: Path) -> np.ndarray:
    """int64: the number of lines, the bytes at which every STEP-th line starts, the size of the shard."""
    index = saved_array(_index_path(shard), _UNINDEXED)
    if index.dtype != np.int64 or len(index) < 3:
        raise Problem(_index_path(shard), "is no index of lines", _UNINDEXED).error()
    return index


def _line_starts(path: Path) -> np.ndarray:
    """The index of a shard, as :func:`_load_index` gives it.

    Every byte is looked at, but only the lines behind the last start are parsed: a copy that broke off did so there.

    Raises:
      DataError: somewhere the number of fields is wrong, or a byte is none of a line's; or the end is malformed.
    """
    starts, count, tabs, size = [np.zeros(1, np.int64)], 0, 0, 0
    last = b"\n"
    for piece in _pieces(path):
        if lines.is_foreign(piece):
            raise _first_malformed(path).error()
        content = np.frombuffer(piece, np.uint8)
        ends = np.flatnonzero(content == ord("\n")) + 1
        starts.append(size + ends[STEP - 1 - count % STEP :: STEP])
        tabs += np.count_nonzero(content == ord("\t"))
        count, size, last = count + len(ends), size + len(piece), piece
    count += not last.endswith(b"\n")
    if tabs != count * (lines.COLUMNS - 1):
        raise _first_malformed(path).error()
    found = np.concatenate(starts)
    found = found[found < size]
    if len(found):
        _check_end(path, int(found[-1]), 1 + STEP * (len(found) - 1))
    return np.concatenate(([count], found, [size]))


def _check_end(path: Path, start: int, first_line: int) -> None:
    """Parses what follows byte ``start``, where line ``first_line`` begins."""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read()
    lines.parse(text, 1, path, first_line)
    if text.endswith(b"\t"):  # a missing code is no fault, but its line goes on to a newline
        raise Problem(path, "ends behind a tab", lines.REMEDY, first_line + text.count(b"\n")).error()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _first_malformed(path: Path) -> Problem:
    with path.open("rb") as file:
        for line, content in enumerate(file, 1):
            if content.count(b"\t") != lines.COLUMNS - 1 or lines.is_foreign(content):
                return Problem(path, lines.fault(content.removesuffix(b"\n")), lines.REMEDY, line)
    raise AssertionError(f"{path}: no line is malformed, but all together are")
