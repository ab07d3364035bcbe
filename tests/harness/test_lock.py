"""One launch per results folder, also after one was killed."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from harness.errors import UsageError
from harness.lock import locked
from results.store import StoreError

HOLDER = """
import sys, time
from pathlib import Path
from harness.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def holder(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_launch_is_refused_and_told_who_runs(tmp_path):
    with (
        holder(tmp_path) as process,
        pytest.raises(UsageError, match=rf"process {process.pid} on .*, since 20.*wait .* or choose another --out"),
        locked(tmp_path),
    ):
        pass


def test_the_lock_of_a_killed_launch_holds_nobody_up(tmp_path):
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with locked(tmp_path):
            pass


def test_a_lock_ends_with_its_block_and_names_nobody_afterwards(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path):
            raise ZeroDivisionError
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == [""]


def test_other_folders_are_free(tmp_path):
    with locked(tmp_path / "a"), locked(tmp_path / "b"):
        pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    message = "Operation not supported; choose an --out on a file system that has locks"
    with pytest.raises(StoreError, match=message), locked(tmp_path):
        pass
