"""Real data for the full scale: what each workload's ``reader.py`` offers, and what several readers need.

A reader is a module ``workloads/<name>/reader.py`` with

- ``SOURCE``: a :class:`DataSource`.
- ``check(folder) -> list[Problem]``: what is missing, cut short or not prepared yet; quick (no pass over all data).
- ``load_split(folder, split, settings)``: arrays or lazy array-likes of ``train``, ``validation`` or ``test``, as
  ``Workload.load_split`` describes them, for the ``Settings`` of the full scale; ``eval_train`` is ``train``'s head.
- ``prepare(folder)``, optional: converts once; does nothing where that is done already; a broken-off call leaves
  nothing that looks finished (:func:`workloads.cache.new_folder`). What takes minutes reports to ``log.info``.
- ``sizes(folder, settings) -> dict[split, number of examples]``, optional and quick; compared with the settings'.
- ``FOLDER``, optional: the folder's name in the data directory, where workloads share it; else the workload's name.

All raise ``DataError`` (``Problem.error()``) with the file, the line where there is one, and the remedy. What the file
system refuses they let through: :func:`file_errors` around their calls translates it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fnmatch
import hashlib
import importlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from harness.data_events import announced, loads_split
from harness.spec import Settings, WorkloadError

log = logging.getLogger("timetrial.data")
"""Progress of conversions; ``timetrial data prepare`` prints it."""
_SHOWN = 5
"""Problems that one error lists."""
_REMEDIES = {
    errno.ENOENT: "put it there, or remove the link that names it",
    errno.EACCES: "change its permissions, or those of a folder above it",
    errno.EPERM: "change its permissions, or those of a folder above it",
    errno.EROFS: "make it writable, or copy the data to a data directory that is (--data-dir)",
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EFBIG: "let files become larger there (`ulimit -f`, or another file system)",
    errno.ENAMETOOLONG: "shorten its name, or that of the data directory",
    errno.ELOOP: "remove the links that lead in a circle",
    errno.EEXIST: "move it away, a folder has to be made there",
    errno.ENOTDIR: "move the file away that lies where a folder has to be",
    errno.EISDIR: "move the folder away that lies where a file has to be",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
}
"""By the number of an OSError."""


@dataclasses.dataclass(frozen=True)
class DataSource:
    """What a user has to get.

    Attributes:
      summary: the data set in a few words.
      origin: where it comes from: publisher, page, citation.
      terms: licence, and whether one has to register.
      size: of the download and on disk, in words.
      expected: what has to lie in the folder, one line per file or pattern.
    """

    summary: str
    origin: str
    terms: str
    size: str
    expected: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file (or folder), and how to mend it; ``line`` counts from 1."""

    file: Path
    what: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{where}: {self.what}; {self.remedy}"

    def error(self) -> DataError:
        return DataError(self)


class DataError(WorkloadError):
    """Real data is missing or damaged."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Reader(Protocol):
    """The module ``workloads/<name>/reader.py``; ``prepare``, ``sizes`` and ``FOLDER`` may be absent."""

    SOURCE: DataSource

    def check(self, folder: Path) -> list[Problem]: ...

    def load_split(self, folder: Path, split: str, settings: Settings) -> Mapping[str, Any]: ...


def reader_of(workload: str) -> Reader | None:
    """The reader of a workload; None where its real data cannot be read yet."""
    if not (Path(__file__).parent / workload / "reader.py").exists():
        return None
    return cast(Reader, importlib.import_module(f"workloads.{workload}.reader"))


def data_folder(workload: str, data_root: Path) -> Path:
    """Where a workload's real data lies in a data directory."""
    return data_root / getattr(reader_of(workload), "FOLDER", workload)


def problems_of(workload: str, data_root: Path, settings: Settings) -> list[Problem]:
    """What keeps the full scale from running: the reader's ``check``, then splits of another size than expected."""
    reader, folder = reader_of(workload), data_folder(workload, data_root)
    if reader is None:
        return [Problem(folder, f"the real data of {workload} cannot be read yet", "use the scale mini")]
    try:
        with file_errors(folder):
            return _reader_problems(reader, folder, settings)
    except DataError as error:
        return [error.problem]


def _reader_problems(reader: Reader, folder: Path, settings: Settings) -> list[Problem]:
    if not folder.is_dir():
        return [Problem(folder, "there is no such folder", f"make it, and put {reader.SOURCE.summary} there")]
    found = reader.check(folder)
    if found or not hasattr(reader, "sizes"):
        return found
    return [
        problem
        for split, size in reader.sizes(folder, settings).items()
        for problem in _size_problems(folder, split, size, settings, reader.SOURCE)
    ]


@announced(lambda workload, data_root, split, settings: loads_split(split))
def load_split(workload: str, data_root: Path, split: str, settings: Settings) -> Mapping[str, Any]:
    """A split of the real data, of the size that the settings say.

    Raises:
      WorkloadError: something is missing or damaged; says what, and how to mend it.
    """
    if problems := problems_of(workload, data_root, settings):
        listed = [str(problem) for problem in problems[:_SHOWN]]
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        advice = f"`timetrial data status {workload}` tells all about it; the scale mini needs no data"
        raise WorkloadError(
            "\n".join([f"{workload} at full scale lacks its data: {listed[0]}", *listed[1:], *more, advice])
        )
    reader, folder = reader_of(workload), data_folder(workload, data_root)
    assert reader is not None  # otherwise that was a problem
    stored = "train" if split == "eval_train" else split
    with file_errors(folder):
        arrays = reader.load_split(folder, stored, settings)
    for problem in _size_problems(folder, stored, len(arrays["targets"]), settings, reader.SOURCE):
        raise problem.error()
    return {name: array[: settings.splits[split]] for name, array in arrays.items()}


def _size_problems(folder: Path, split: str, found: int, settings: Settings, source: DataSource) -> list[Problem]:
    expected = settings.splits[split]
    if found == expected:
        return []
    what = f"the split {split} has {found:,} examples instead of {expected:,}"
    return [Problem(folder, what, f"get {source.summary} again, whole ({source.origin})")]


@contextlib.contextmanager
def file_errors(place: Path) -> Iterator[None]:
    """What the file system refuses becomes a problem of the file, or of ``place`` where the error names none.

    Raises:
      DataError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else place
        # numpy's error about a full disk has a text and no number.
        default = "see that there is free space, and that the files there can be read and written"
        remedy = _REMEDIES.get(error.errno or 0, default)
        what = os.strerror(error.errno) if error.errno else str(error)
        raise Problem(file, f"cannot be read or written ({what})", remedy).error() from error


# ---- for readers ----


@contextlib.contextmanager
def damage(path: Path, what: str, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """What a library says about the content of a file becomes a problem of it: ``errors``, and an OSError without a
    number; one with a number comes from the file system.

    Raises:
      DataError: in place of these.
    """
    caught: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except DataError:
        raise
    except caught as error:
        if isinstance(error, OSError) and error.errno is not None:
            error.filename = error.filename or path  # HDF5 names it in the text only.
            raise
        raise Problem(path, f"{what} ({str(error) or type(error).__name__})", remedy).error() from error


def hidden(name: str) -> bool:
    """Whether a file or folder is none of the data, whatever it ends in: macOS's ``._x``, ``.ipynb_checkpoints``."""
    return name.startswith(".")


def listed(folder: Path, pattern: str) -> list[Path]:
    """What matches below a folder, sorted; nothing hidden, nor within what is hidden.

    Raises:
      OSError: a folder cannot be read. ``Path.glob`` would leave it out.
    """
    first, _, rest = pattern.partition("/")
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.iterdir() if fnmatch.fnmatchcase(p.name, first) and not hidden(p.name))
    return [path for part in found for path in listed(part, rest)] if rest else found


def utf8(content: bytes, path: Path, remedy: str, line: int | None = None) -> str:
    """Text of (a line of) a file.

    Raises:
      DataError: it is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Problem(path, f"is not UTF-8 ({error.reason})", remedy, line).error() from None


def manifest_of(path: Path, form: Mapping[str, type], remedy: str) -> dict[str, Any]:
    """A JSON object of which ``form`` gives keys and the types of their values.

    Raises:
      DataError: the file is missing, or holds something else.
    """
    for problem in file_problems(path, remedy):
        raise problem.error()
    with damage(path, "cannot be read", remedy, ValueError):
        found = json.loads(path.read_bytes())
    wrong = [key for key, kind in form.items() if not (isinstance(found, dict) and isinstance(found.get(key), kind))]
    if wrong:
        raise Problem(path, f"cannot be read (no {form[wrong[0]].__name__} {wrong[0]!r})", remedy).error()
    return found


def saved_array(path: Path, remedy: str, axes: int = 1, mapped: bool = False) -> np.ndarray:
    """The array of an ``.npy`` file with so many axes; through a memory map if ``mapped``.

    Raises:
      DataError: the file is missing or damaged, or holds something else.
    """
    with damage(path, "cannot be read", remedy, ValueError, EOFError, SyntaxError), path.open("rb") as file:
        # Not np.load, which takes other formats too, and recommends to unpickle what is none of them.
        found = np.lib.format.open_memmap(path, mode="r") if mapped else np.lib.format.read_array(file)
    if found.ndim != axes:
        raise Problem(path, f"cannot be read (an array with {found.ndim} axes, not {axes})", remedy).error()
    return found.view(np.ndarray)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside ``path``, to be written; becomes ``path`` by a rename when the block ends well, and
    disappears when it does not. Several processes may make the same file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".making-", delete=False) as file:
        temporary = Path(file.name)
        try:
            yield cast(BinaryIO, file)
            file.flush()
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def file_problems(path: Path, remedy: str, at_least: int = 1, exactly: int | None = None) -> list[Problem]:
    """What is wrong with a file by its size in bytes alone; empty when nothing is."""
    if not path.is_file():
        return [Problem(path, "is missing", remedy)]
    size = path.stat().st_size
    if exactly is not None and size != exactly:
        return [Problem(path, f"has {size:,} bytes instead of {exactly:,}", remedy)]
    if size < at_least:
        return [Problem(path, f"has {size:,} bytes, at least {at_least:,} are expected", remedy)]
    return []


def problem_in(look: Callable[[], object]) -> list[Problem]:
    """The problem that a look at data meets; empty when it meets none."""
    try:
        look()
    except DataError as error:
        return [error.problem]
    return []


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


class Lazy:
    """Examples that are read when they are picked: ``len``, ``[positions]`` -> array, ``[a:b]`` -> a shorter Lazy."""

    def __init__(self, fetch: Callable[[np.ndarray], np.ndarray], span: range) -> None:
        self._fetch = fetch
        self._span = span

    def __len__(self) -> int:
        return len(self._span)

    def __getitem__(self, index: slice | np.ndarray) -> Any:
        if isinstance(index, slice):
            return Lazy(self._fetch, self._span[index])
        positions = np.asarray(index, np.int64)
        if positions.size and not (positions.min() >= 0 and positions.max() < len(self)):
            raise IndexError(f"positions {positions.min()} to {positions.max()} are not all among {len(self)} examples")
        return self._fetch(self._span.start + self._span.step * positions)


def lazily(
    place: Path, count: int, names: Iterable[str], fetch: Callable[[np.ndarray], Mapping[str, np.ndarray]]
) -> dict[str, Lazy]:
    """Lazy arrays of ``count`` examples by name, for a ``fetch`` that reads all names at once, in the folder ``place``.

    What was read last is kept, so that the arrays of one batch cost one read.
    """
    last: list[tuple[np.ndarray, Mapping[str, np.ndarray]]] = []

    def read(positions: np.ndarray) -> Mapping[str, np.ndarray]:
        if not last or not np.array_equal(last[0][0], positions):
            with file_errors(place):
                last[:] = [(positions, fetch(positions))]
        return last[0][1]

    def one(name: str) -> Lazy:
        return Lazy(lambda positions: read(positions)[name], range(count))

    return {name: one(name) for name in names}
