"""One launch at a time per results folder.

The lock is the operating system's (``flock``) on a file in the folder. It ends with the process that holds it, however
that ends (``kill -9``, a reboot), so that a stale lock cannot be; what the file says is only who holds it.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UsageError
from results.store import OWN_FOLDER, StoreError

LOCK_FILE = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a results folder, which is made if it is not there, while it lasts.

    Raises:
      UsageError: another launch holds it; the message says which.
      StoreError: the folder cannot be written, or its file system has no locks.
    """
    path = folder / OWN_FOLDER / LOCK_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # closed in every process started from here
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; free space or choose another --out") from error
    try:
        _take(descriptor, folder, path)
        _say_who(descriptor)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)  # before the lock goes with the descriptor
        os.close(descriptor)


def _take(descriptor: int, folder: Path, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"another launch is running into {folder} ({_owner(path)}); wait for it to end, or choose another --out"
        ) from None
    except OSError as error:
        raise StoreError(
            f"cannot lock {path}: {error.strerror}; choose an --out on a file system that has locks (flock)"
        ) from error


def _say_who(descriptor: int) -> None:
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, and what is written later complains
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['pid']} on {owner['host']}, since {owner['started_at']}: {owner['command']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say which"
