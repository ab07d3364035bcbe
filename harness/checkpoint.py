"""Where a trial's checkpoint lies, as the command and the trial's process both see it.

Each trial has a folder of its own, named by its digest, below the results folder. The command counts in it how often
the trial's process was started; the process writes its state there (:mod:`harness.resume`). It goes when the record is
written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from results.store import OWN_FOLDER, StoreError

DEFAULT_EVERY_SEC = 10.0
CHECKPOINTS_FOLDER = "checkpoints"
_STATE, _STARTS, _GIVEN_UP = "state", "starts", "given_up"
_HEADER = b"timetrial checkpoint 3\n"
_START = len(_HEADER) + sha256().digest_size
"""Where the data begins, after its digest."""


_open, _write, _fsync, _close = os.open, os.write, os.fsync, os.close
_rename, _remove, _process = os.replace, os.unlink, os.getpid
"""What is called while a trial's clock stands is bound before an entry comes, which could replace it elsewhere."""


FREE_WRITING_SEC, FREE_WRITING_BYTES_PER_SEC = 0.05, 8e7
"""So much CPU time may the digest of what is saved and its writing take off the clock: 3 times what they do."""


def free_writing_sec(size: float) -> float:
    """CPU seconds that writing a state of so many bytes may take off a trial's clock."""
    return FREE_WRITING_SEC + size / FREE_WRITING_BYTES_PER_SEC


def digest_of(data: bytes) -> bytes:
    return sha256(data).digest()


class DamagedCheckpointError(Exception):
    """The file does not hold what was written to it."""


@dataclasses.dataclass(frozen=True)
class CheckpointPlace:
    """
    Attributes:
      folder: the trial's own.
      every_sec: the least wall time between two checkpoints; each follows an evaluation.
      interruptions: how often the trial was started before.
    """

    folder: Path
    every_sec: float = DEFAULT_EVERY_SEC
    interruptions: int = 0

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder.parents[2]

    def started(self) -> CheckpointPlace:
        """Counts a start of the trial; returns the place with the number of starts before.

        Raises:
          StoreError: the folder cannot be written.
        """
        before = self._starts()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.folder / _STARTS, str(before + 1).encode())
        except OSError as error:
            raise StoreError(
                f"cannot write {self.folder}: {error.strerror}; free space or choose another --out"
            ) from error
        return dataclasses.replace(self, interruptions=before)

    def _starts(self) -> int:
        try:
            return int((self.folder / _STARTS).read_text())
        except (OSError, ValueError):
            return 0

    def version(self) -> int | None:
        """Another number whenever another state was written; None where there is none."""
        try:
            return (self.folder / _STATE).stat().st_mtime_ns
        except OSError:
            return None

    def digest(self) -> str:
        """Of the state, as its file tells; empty where there is none."""
        try:
            with (self.folder / _STATE).open("rb") as file:
                return file.read(_START)[len(_HEADER) :].hex()
        except OSError:
            return ""

    def write(self, data: bytes, digest: bytes | None = None) -> None:
        """Writes a state; its digest is that of :func:`digest_of`, where somebody has it already.

        Raises:
          OSError: the disk is full or the folder is gone; an older state is kept.
        """
        _replace(self.folder / _STATE, b"".join([_HEADER, digest or digest_of(data), data]))

    def read(self) -> bytes | None:
        """What was written last, or None.

        Raises:
          DamagedCheckpointError: it is not whole.
        """
        try:
            content = (self.folder / _STATE).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedCheckpointError(f"the checkpoint cannot be read ({error.strerror})") from error
        data = content[_START:]
        if content[:_START] != _HEADER + digest_of(data):
            raise DamagedCheckpointError("the checkpoint is damaged")
        return data

    def give_up(self, why: str) -> None:
        """Removes a state from which the trial cannot go on, and keeps the reason for the trial's next start."""
        with contextlib.suppress(OSError):
            (self.folder / _STATE).unlink(missing_ok=True)
            _replace(self.folder / _GIVEN_UP, why.encode())

    def given_up(self) -> str:
        """Why an earlier process gave up; empty where none did."""
        try:
            return (self.folder / _GIVEN_UP).read_text()
        except OSError:
            return ""

    def discard(self) -> None:
        """Removes everything, and the folder above when it is empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def place_of(out: Path, digest: str, every_sec: float = DEFAULT_EVERY_SEC) -> CheckpointPlace:
    """Of a trial in a results folder; absolute, since a trial runs in a folder of its own."""
    return CheckpointPlace(out.absolute() / OWN_FOLDER / CHECKPOINTS_FOLDER / digest, every_sec)


def with_checkpoints(planned: Iterable[Any], out: Path, every_sec: float = DEFAULT_EVERY_SEC) -> list[tuple[Any, str]]:
    """The task of each planned trial, told where its checkpoints go, with its digest."""
    return [(dataclasses.replace(t.task, checkpoint=place_of(out, t.digest, every_sec)), t.digest) for t in planned]


def _replace(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    temporary = f"{path.parent}{os.sep}.{path.name}-{_process()}"
    try:
        file = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            left = memoryview(data)
            while left:
                left = left[_write(file, left) :]
            _fsync(file)
        finally:
            _close(file)
        _rename(temporary, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            _remove(temporary)
        raise
