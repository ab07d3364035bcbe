"""Reads ogbg-molpcba in the form in which OGB ships it (Hu et al. 2020, arXiv 2005.00687): gzipped tables, no header.

raw/num-node-list.csv.gz      atoms per molecule
raw/num-edge-list.csv.gz      bonds per molecule, each bond once
raw/node-feat.csv.gz          nine integers per atom, molecule after molecule
raw/edge.csv.gz               two atom numbers per bond, counted within the molecule
raw/edge-feat.csv.gz          three integers per bond
raw/graph-label.csv.gz        128 answers per molecule: 0, 1 or nothing
split/scaffold/{train,valid,test}.csv.gz    positions of molecules

All that may lie in a folder ``pcba``, the archive's top folder.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from harness.spec import Settings
from workloads.ogbg.architecture import EDGE_FEATURES, NODE_FEATURES
from workloads.ogbg.graphs import Ragged
from workloads.real_data import DataSource, Problem, file_problems, problem_in

SOURCE = DataSource(
    summary="ogbg-molpcba, 437,929 molecules of PubChem with 128 properties",
    origin="https://snap.stanford.edu/ogb/data/graphproppred/csv_mol_download/pcba.zip of the Open Graph Benchmark "
    "(Hu et al. 2020, arXiv 2005.00687), https://ogb.stanford.edu",
    terms="MIT licence; no registration",
    size="about 50 MB to download, and as much on disk",
    expected=(
        "raw/{num-node-list,num-edge-list,node-feat,edge,edge-feat,graph-label}.csv.gz",
        "split/scaffold/{train,valid,test}.csv.gz",
        "or both below pcba/, as the archive unpacks",
    ),
)
SPLIT_FILES = {"train": "train", "validation": "valid", "test": "test"}
_TASKS = 128
_COLUMNS = {
    "num-node-list": 1,
    "num-edge-list": 1,
    "node-feat": NODE_FEATURES,
    "edge": 2,
    "edge-feat": EDGE_FEATURES,
    "graph-label": _TASKS,
}
"""Of the tables in ``raw``; those in ``split`` have one."""
_LONGEST_LINE = 1 << 16
"""Bytes; the longest of the data set is of less than a thousand."""
_REMEDY = "download ogbg-molpcba (pcba.zip) from OGB again and unpack it there"


def check(folder: Path) -> list[Problem]:
    tables = {_raw_path(folder, name): columns for name, columns in _COLUMNS.items()}
    tables |= {_split_path(folder, split): 1 for split in SPLIT_FILES}
    return [
        problem
        for path, columns in tables.items()
        for problem in file_problems(path, _REMEDY) or problem_in(functools.partial(_look, path, columns))
    ]


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    return {split: len(_table(_split_path(folder, split), 1, np.int64)) for split in SPLIT_FILES}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Any]:
    return _read_once(folder, settings.model["tasks"])[split]


@functools.lru_cache(maxsize=1)
def _read_once(folder: Path, tasks: int) -> Mapping[str, Mapping[str, Any]]:
    return read(folder, tasks)


def read(folder: Path, tasks: int = _TASKS) -> dict[str, dict[str, Any]]:
    """Arrays of every split: ``inputs`` and ``bonds`` (``Ragged``, int16), ``targets`` and ``weights`` float32
    ``[n, tasks]``; a missing answer has target and weight 0.

    Raises:
      WorkloadError: a file is missing, cannot be read, or contradicts another one; names it.
    """
    raw = _place(folder) / "raw"
    node_counts, edge_counts = (_table(raw / f"num-{kind}-list.csv.gz", 1, np.int64)[:, 0] for kind in ("node", "edge"))
    _expect_rows(raw / "num-edge-list.csv.gz", edge_counts, len(node_counts), "num-node-list.csv.gz")
    nodes = _features(raw / "node-feat.csv.gz", NODE_FEATURES, node_counts, "num-node-list.csv.gz")
    ends = _features(raw / "edge.csv.gz", 2, edge_counts, "num-edge-list.csv.gz")
    kinds = _features(raw / "edge-feat.csv.gz", EDGE_FEATURES, edge_counts, "num-edge-list.csv.gz")
    _check_ends(raw / "edge.csv.gz", ends, node_counts, edge_counts)
    targets, weights = _answers(raw / "graph-label.csv.gz", tasks, len(node_counts))
    inputs, bonds = Ragged.of(nodes, node_counts), Ragged.of(np.concatenate((ends, kinds), axis=1), edge_counts)

    def of_split(chosen: np.ndarray) -> dict[str, Any]:
        return {
            "inputs": inputs.take(chosen),
            "bonds": bonds.take(chosen),
            "targets": targets[chosen],
            "weights": weights[chosen],
        }

    return {split: of_split(chosen) for split, chosen in _positions(folder, len(node_counts)).items()}


def _look(path: Path, columns: int) -> None:
    """Reads the first line of a table; all of it takes long."""
    with _unzipping(path), gzip.open(path) as file:
        _expect_columns(path, file.readline(_LONGEST_LINE), columns)


@contextlib.contextmanager
def _unzipping(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        _fail(path, "the file is cut short")
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        _fail(path, f"not a whole gzip file of text ({error})")


def _split_path(folder: Path, split: str) -> Path:
    return _place(folder) / "split" / "scaffold" / f"{SPLIT_FILES[split]}.csv.gz"


def _raw_path(folder: Path, name: str) -> Path:
    return _place(folder) / "raw" / f"{name}.csv.gz"


def _place(folder: Path) -> Path:
    """Where the tables lie: in the archive's top folder, if that is there and they are not in ``folder``."""
    inner = folder / "pcba"
    return inner if inner.is_dir() and not (folder / "raw").exists() else folder


def _positions(folder: Path, count: int) -> Mapping[str, np.ndarray]:
    """Molecules of each split; none is in two."""
    owner = np.full(count, "", dtype=object)
    positions = {}
    for split, name in SPLIT_FILES.items():
        path = _split_path(folder, split)
        chosen = _table(path, 1, np.int64)[:, 0]
        wrong = chosen[(chosen < 0) | (chosen >= count)]
        if len(wrong):
            _fail(path, f"molecule {wrong[0]} is not among the {count:,} of raw/num-node-list.csv.gz")
        if len(np.unique(chosen)) < len(chosen):
            _fail(path, "a molecule is listed twice")
        taken = chosen[owner[chosen] != ""]
        if len(taken):
            _fail(path, f"molecule {taken[0]} is also in {owner[taken[0]]}.csv.gz")
        owner[chosen] = name
        positions[split] = chosen
    return positions


def _features(path: Path, columns: int, counts: np.ndarray, listed_in: str) -> np.ndarray:
    """int16 ``[rows, columns]``, with as many rows as the counts add up to."""
    if (counts < 0).any():
        _fail(path.with_name(listed_in), f"molecule {int(np.argmax(counts < 0))} has a negative count")
    table = _table(path, columns, np.int16)
    _expect_rows(path, table, int(counts.sum()), listed_in)
    if table.size and table.min() < 0:
        _fail(path, f"line {int(np.argmax((table < 0).any(axis=1))) + 1} holds a negative number")
    return table


def _check_ends(path: Path, ends: np.ndarray, node_counts: np.ndarray, edge_counts: np.ndarray) -> None:
    outside = (ends >= np.repeat(node_counts, edge_counts)[:, None]).any(axis=1)
    if outside.any():
        _fail(path, f"line {int(np.argmax(outside)) + 1} names an atom that its molecule does not have")


def _answers(path: Path, tasks: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    table = _table(path, tasks, np.float32)
    _expect_rows(path, table, count, "num-node-list.csv.gz")
    known = ~np.isnan(table)
    targets = np.where(known, table, np.float32(0))
    odd = (targets != 0) & (targets != 1)
    if odd.any():
        line, task = np.argwhere(odd)[0]
        _fail(path, f"line {line + 1}, column {task + 1} is {targets[line, task]:g}, neither 0, 1 nor empty")
    return targets, known.astype(np.float32)


def _table(path: Path, columns: int, dtype: type) -> np.ndarray:
    """Numbers ``[rows, columns]``; empty cells become NaN where the type has it."""
    import pandas

    if not path.exists():
        _fail(path, "is missing")
    with _unzipping(path), gzip.open(path) as file:
        content = file.read()
    if not content:
        _fail(path, "the file is empty")
    _expect_columns(path, content, columns)
    try:
        with _unzipping(path), warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(
                io.BytesIO(content), header=None, dtype=dtype, index_col=False, on_bad_lines="error", engine="c"
            )
    except (ValueError, OverflowError, pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        _fail(path, f"not a table of {columns} numbers per line ({error})")
    return frame.to_numpy()


def _expect_columns(path: Path, content: bytes, columns: int) -> None:
    """The same number of values in every line. Pandas would fill short lines with missing answers."""
    rows = content.count(b"\n") + (not content.endswith(b"\n"))
    if content.count(b",") == rows * (columns - 1):
        return
    for number, line in enumerate(io.BytesIO(content), 1):
        if (found := line.count(b",") + 1) != columns:
            raise Problem(path, f"has {found} values instead of {columns}", _REMEDY, number).error()


def _expect_rows(path: Path, table: np.ndarray, expected: int, listed_in: str) -> None:
    if len(table) != expected:
        _fail(path, f"holds {len(table):,} lines, but {listed_in} calls for {expected:,}")


def _fail(path: Path, what: str) -> NoReturn:
    raise Problem(path, what, _REMEDY).error()
