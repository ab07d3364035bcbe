"""Closes a trial's process before the entry's code comes in, and tells the training loop what to look after."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.compat.sources import Sources, place_in, read_sources
from harness.entry import Entry, InvalidSubmissionError, files_in, load_functions
from harness.entry_imports import forbidden_imports, import_libraries
from harness.isolation import OPEN_FILES, OPENED, confine_to, enter, limit_files, places_of
from harness.spec import Workload
from harness.task import TrialTask
from harness.view import WorkloadView
from harness.watch import Breach, Watch
from workloads.cache import root as data_root


@dataclasses.dataclass(frozen=True)
class Confinement:
    """
    Attributes:
      watch: looks after an entry's own code; None for a composition, which has none, and in the caller's process.
      isolation: what the process cannot reach, and by which means.
      batch_size: as the entry gives it; None where the loop may ask it itself.
    """

    watch: Watch | None = None
    isolation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    batch_size: int | None = None

    def remember(self) -> None:
        """What must stay as it is, right before the entry's code is imported."""
        if self.watch:
            self.watch.remember()

    def shown(self, workload: Workload) -> Any:
        """The workload for submission functions."""
        return WorkloadView(workload, self.watch.report_caller) if self.watch else workload


def close_in(
    task: TrialTask,
    splits: Mapping[str, Mapping[str, np.ndarray]],
    report: Callable[[Breach], None],
    batch_size: Callable[[Any], int],
) -> Confinement:
    """Closes the process for good, if it is the trial's own.

    Args:
      task: the trial.
      splits: the workload's opened data; where it is read lazily, its folder stays readable.
      report: is told of every breach, at once.
      batch_size: of an entry's functions. A function that is given the workload's name runs in a process of its own,
        so that nothing can keep the name.

    Raises:
      Exception: whatever ``batch_size`` raises.
    """
    if task.folder is None:
        return Confinement()
    sources = read_sources(task.entry.path) if task.entry.kind == "module" else None
    own = files_of(task.entry, sources)
    lazy = any(not isinstance(array, np.ndarray) for arrays in splits.values() for array in arrays.values())
    outputs = [path for path in (task.claim, task.checkpoint.folder if task.checkpoint else None) if path]
    closed = [*outputs, data_root(task.data_dir)]
    readable = [file for path in own for file in (files_in(path) if path.is_dir() else [path])]
    readable = [file for file in readable if not any(folder.resolve() in file.resolve().parents for folder in closed)]
    if task.memory_bytes is not None:  # not before: the data's own files may be larger
        limit_files(task.memory_bytes)
    lazily_read = [data_root(task.data_dir)] if lazy else []
    if not lazy:
        _hide_files(data_root(task.data_dir))
    size = _batch_size(task, own, readable, report, batch_size) if sources is not None else None
    own_places = places_of(
        task.folder, readable, [], [], _hidden(task)
    )  # what else is open is open to the harness alone
    isolation = confine_to(places_of(task.folder, readable, lazily_read, outputs))
    if sources is None:
        return Confinement(None, isolation)
    watch = Watch(own, own_places, report, task.spec.key.framework)
    for message, where in forbidden_imports(sources):
        watch.report(message, where)
    watch.start()
    import_libraries(sources)  # some start threads, which no fork survives
    return Confinement(watch, isolation, size)


def _hidden(task: TrialTask) -> list[Path]:
    """Where data, the results and the other trials in flight lie."""
    folders = [data_root(task.data_dir), *([task.folder.parent] if task.folder else [])]
    return [*folders, *([task.checkpoint.results] if task.checkpoint else [])]


def _batch_size(
    task: TrialTask,
    own: Iterable[Path],
    readable: Iterable[Path],
    report: Callable[[Breach], None],
    batch_size: Callable[[Any], int],
) -> int:
    """Asks an entry for it in a copy of this process, before this one is confined: the copy confines itself, to what it
    is to reach, so that of /proc it has its own part, and a folder of its own, which goes with it."""
    assert task.folder is not None
    framework = task.spec.key.framework
    folder = Path(tempfile.mkdtemp(prefix="ask-", dir=task.folder))

    def ask() -> int:
        found: list[Breach] = []
        enter(folder)
        places = places_of(folder, readable, [], [], _hidden(task))
        watch = Watch(own, places, found.append, framework)
        watch.start()
        confine_to(places)
        try:
            return batch_size(load_functions(task.entry, framework, task.spec.hyperparameters is None))
        finally:
            if found:
                raise BreachFoundError(found[0].message, found[0].where)

    try:
        return asked_in_a_fork(ask, lambda error: place_in(task.entry.path, error))
    except BreachFoundError as error:
        report(Breach(*error.args))
        raise
    finally:
        shutil.rmtree(folder)


def files_of(entry: Entry, sources: Sources | None) -> tuple[Path, ...]:
    """An entry's folder where it has one of its own, and its source files elsewhere; a composition's file."""
    if sources is None:
        return (entry.path,)
    files = set(sources.trees)
    packages = {above / "__init__.py" for file in files for above in file.parents}  # it may be imported through them
    everything = sorted(files | {path for path in packages if path.is_file()})
    folder = entry.path.parent
    if entry.path.name != "submission.py":
        return tuple(everything)
    return (folder, *(path for path in everything if folder not in path.parents))


class GetBatchSizeError(Exception):
    """What ``get_batch_size`` raised in a process of its own."""


class BreachFoundError(Exception):
    """What the entry did in that process disqualifies it: message and place."""


def asked_in_a_fork(ask: Callable[[], int], place: Callable[[Exception], str]) -> int:
    """The number that a function gives, computed in a copy of this process that ends with it. Nothing else comes back:
    the number and the texts of errors are plain, what the copy prints is dropped (its size would tell), and the system
    adds nothing that the copy used to what this process's children used. ``place`` says where in the entry an error was
    raised.

    Raises:
      InvalidSubmissionError: so the function.
      BreachFoundError: so the function.
      GetBatchSizeError: the function raised anything else, or the copy died.
    """
    reader, writer = os.pipe()
    with _nothing_told_by_children():
        child = os.fork()
        if child == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _print_nowhere()
                for first, last in ((3, writer), (writer + 1, OPEN_FILES)):  # it could read what is noted there
                    os.closerange(first, last)
                answer = json.dumps(_answer(ask, place))
                with os.fdopen(writer, "w") as file:
                    file.write(answer)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            data = file.read()
        with contextlib.suppress(ChildProcessError):  # there is nothing to tell once it has ended
            os.waitpid(child, 0)
    if not data:
        raise GetBatchSizeError("the process in which get_batch_size was called died")
    kind, answer = json.loads(data)
    if kind == "size":
        return int(answer)
    if kind == "breach":
        raise BreachFoundError(*answer)
    raise (InvalidSubmissionError if kind == "invalid" else GetBatchSizeError)(answer)


@contextlib.contextmanager
def _nothing_told_by_children() -> Iterator[None]:
    """Children that end meanwhile leave neither a status nor an account of what they used: the most memory that one of
    them held, for one, would be a number of its choice."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _answer(ask: Callable[[], int], place: Callable[[Exception], str]) -> tuple[str, Any]:
    try:
        return "size", int(ask())
    except InvalidSubmissionError as error:
        return "invalid", str(error)
    except BreachFoundError as error:
        return "breach", error.args
    except Exception as error:
        return "raised", f"{type(error).__name__}: {error}{place(error)}"


def _hide_files(root: Path) -> None:
    """Puts nothing in the place of the data's open files: what is mapped into memory stays, and their names do not."""
    if not OPENED.is_dir():
        return
    nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for opened in list(OPENED.iterdir()):
        with contextlib.suppress(OSError):  # the listing itself is closed by now
            if root in opened.readlink().parents:
                os.dup2(nowhere, int(opened.name), inheritable=False)
    os.close(nowhere)


def _print_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
