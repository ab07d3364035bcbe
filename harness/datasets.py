"""The data that workloads need: what is there, what is missing or damaged, and its conversion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UsageError
from harness.spec import Workload, WorkloadError
from harness.workloads import make_workload, split_name, workload_names
from workloads import real_data
from workloads.cache import root

_READ_AT_ONCE = 256
"""Examples; pictures and audio of so many fit into memory."""


@dataclasses.dataclass(frozen=True)
class DataStatus:
    """The data of one workload; of its variants too, which train on the same.

    Attributes:
      folder: where the real data has to lie.
      source: what has to be got; None where the real data cannot be read yet.
      problems: what keeps the full scale from running; empty when it is ready.
      splits: examples per split that the full scale expects.
      needs_preparation: whether ``timetrial data prepare`` converts this data once.
      mini: a sentence on the mini scale's data, which nobody has to get.
    """

    workload: str
    folder: Path
    source: real_data.DataSource | None
    problems: tuple[real_data.Problem, ...]
    splits: Mapping[str, int]
    needs_preparation: bool
    mini: str

    @property
    def ready(self) -> bool:
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        problems = [{**dataclasses.asdict(problem), "file": str(problem.file)} for problem in self.problems]
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        source = dataclasses.asdict(self.source) if self.source else None
        return {**content, "folder": str(self.folder), "source": source, "problems": problems, "ready": self.ready}


def data_status(workload: str, data_dir: Path | None = None, read: bool = False) -> DataStatus:
    """What is there of a workload's real data; quick, unless all of it is to be ``read``.

    Raises:
      UsageError: there is no such workload.
    """
    name, _ = split_name(workload)
    full, reader = make_workload(name, "full", data_dir), real_data.reader_of(name)
    splits = full.base_settings.splits
    problems = real_data.problems_of(name, root(data_dir), full.base_settings)
    if read and not problems:
        problems = _problems_of_reading(full)
    return DataStatus(
        workload=name,
        folder=real_data.data_folder(name, root(data_dir)),
        source=reader.SOURCE if reader else None,
        problems=tuple(problems),
        splits={split: size for split, size in splits.items() if split != "eval_train" and size},
        needs_preparation=hasattr(reader, "prepare"),
        mini=_mini(name, data_dir),
    )


def _problems_of_reading(workload: Workload) -> list[real_data.Problem]:
    """The first problem that turns up while every example of every split is read once."""
    for split, size in workload.base_settings.splits.items():
        if not size or split == "eval_train":
            continue
        try:
            real_data.log.info("reading the split %s of %s", split, workload.name)
            arrays = workload.load_split(split)
            for start in range(0, size, _READ_AT_ONCE):
                for array in arrays.values():
                    array[np.arange(start, min(start + _READ_AT_ONCE, size))]
        except real_data.DataError as error:
            return [error.problem]
    return []


def all_data_status(data_dir: Path | None = None) -> list[DataStatus]:
    return [data_status(name, data_dir) for name in workload_names()]


def _mini(name: str, data_dir: Path | None) -> str:
    cache = getattr(make_workload(name, "mini", data_dir), "cache", None)
    if cache is None:
        return "needs no data"
    try:
        with real_data.file_errors(cache.folder):
            if not cache.folder.exists():
                return f"needs no data; it will be generated in {cache.folder}"
            cache.check()
    except WorkloadError as error:
        return str(error)
    return f"needs no data; it has been generated in {cache.folder}"


def prepare_data(workload: str, data_dir: Path | None = None) -> DataStatus:
    """Converts a workload's real data where it has to be converted; returns what is there afterwards.

    Raises:
      UsageError: there is no such workload, or its real data cannot be read yet.
      WorkloadError: something is missing or damaged; names the file and the remedy.
    """
    name, _ = split_name(workload)
    reader, folder = real_data.reader_of(name), real_data.data_folder(name, root(data_dir))
    if reader is None:
        raise UsageError(f"the real data of {name} cannot be read yet; the scale mini needs none")
    if prepare := getattr(reader, "prepare", None):
        with real_data.file_errors(folder):
            if not folder.is_dir():
                raise WorkloadError(
                    f"there is no folder {folder}; put {reader.SOURCE.summary} there, "
                    f"see `timetrial data status {name}`, or name another data directory with --data-dir"
                )
            prepare(folder)
    return data_status(name, data_dir)
