"""What a trial's process finds around it, and what it cannot reach."""

import os
import platform
import subprocess
import sys
import tempfile
import textwrap
import unittest.mock
from pathlib import Path

import pytest
from rich.console import Console

from harness.entry_imports import module_of
from harness.isolation import Places, clean_environment, places_of
from harness.launch import remove_folders_of_the_dead
from harness.run import run
from harness.sandbox import _ARCHITECTURES, landlock_version
from harness.spec import Target
from harness.suite import Request
from results.record import StopReason
from results.store import find_trials, read_trial


def test_places_cover_what_lies_below_them(tmp_path):
    places = Places((tmp_path / "read",), (tmp_path / "write",))
    assert places.may_read(tmp_path / "read/deep/file") and places.may_read(tmp_path / "write/file")
    assert places.may_write(tmp_path / "write") and not places.may_write(tmp_path / "read/file")
    assert not places.may_read(tmp_path / "reading") and not places.may_read(tmp_path)
    places = Places((), (tmp_path, Path("/dev/null"), Path("/proc/self/comm")))
    assert places.may_change(tmp_path / "file")
    assert places.may_write(Path("/dev/null")) and not places.may_change(Path("/dev/null"))


def test_libraries_can_be_read_and_results_beside_timetrial_cannot(tmp_path):
    import numpy

    import harness
    import results

    home = Path(harness.__path__[0]).parent
    places = places_of(tmp_path, [], [], [])
    assert places.may_read(Path(numpy.__file__)) and places.may_read(Path(harness.__file__))
    assert places.may_read(Path(results.__file__))
    assert not places.may_read(Path(results.__path__[0]) / "reference" / "run.json")
    assert not places.may_read(home / "runs" / "quick" / "run.json") and not places.may_read(home / "README.md")
    assert not places.may_write(Path(harness.__file__))


def test_the_environment_keeps_what_libraries_need(tmp_path):
    with unittest.mock.patch.dict(os.environ, {"SECRET_TOKEN": "x", "OMP_NUM_THREADS": "1", "HOME": "/home/me"}):
        clean_environment(tmp_path)
        assert "SECRET_TOKEN" not in os.environ and os.environ["OMP_NUM_THREADS"] == "1" and os.environ["PATH"]
        assert {os.environ[name] for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")} == {str(tmp_path)}
    assert os.environ.get("HOME") != str(tmp_path)


CONFINED = """
    import os, socket, sys
    from pathlib import Path
    from harness.sandbox import confine

    inner, outer = Path(sys.argv[1]), Path(sys.argv[2])
    confine([Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib")], [inner], [])

    def outcome(action):
        try:
            action()
        except OSError as error:
            return type(error).__name__
        return "done"

    print(outcome(lambda: (inner / "new").write_text("x")))
    print(outcome(lambda: (outer / "new").write_text("x")))
    print(outcome(lambda: (outer / "file").read_text()))
    print(outcome(lambda: (outer / "file").rename(inner / "file")))
    tcp = socket.socket()
    print(outcome(lambda: tcp.bind(("127.0.0.1", 0))))
    print(outcome(lambda: socket.socket().connect(("127.0.0.1", 9))))
    print(outcome(lambda: socket.socket().bind(("127.0.0.1", 50007))))
    print(outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
    print(outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)))
    print(outcome(lambda: socket.socketpair()))
    print(outcome(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))))
    print(outcome(lambda: os.kill(os.getppid(), 0)))
"""


@pytest.mark.skipif(landlock_version() < 6, reason="this kernel cannot confine files and signals (Landlock 6)")
def test_a_confined_process_reaches_nothing_else(tmp_path):
    for name in ("inner", "outer"):
        (tmp_path / name).mkdir()
    (tmp_path / "outer" / "file").write_text("secret")
    command = [sys.executable, "-c", textwrap.dedent(CONFINED), str(tmp_path / "inner"), str(tmp_path / "outer")]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    refused = "PermissionError"
    assert found == [
        *("done", refused, refused, refused),
        *("done", refused, refused, refused, refused),
        *("done", refused, refused),
    ]
    assert (tmp_path / "outer" / "file").read_text() == "secret"


REFUSED_BY_SECCOMP = """
    import array, ctypes, os, platform, resource, signal, socket, subprocess, sys, threading
    from pathlib import Path
    from harness import sandbox

    libc = ctypes.CDLL(None, use_errno=True)
    assert sandbox._seccomp(libc)

    def outcome(action):
        try:
            action()
        except OSError as error:
            return type(error).__name__
        return "done"

    def call(name, *arguments):
        if libc.syscall(numbers[name], *arguments) < 0:
            raise OSError(ctypes.get_errno(), "")

    column = ["x86_64", "aarch64"].index(platform.machine())
    numbers = {name: row[column] for name, row in sandbox._REFUSED_CALLS.items()}
    numbers |= {name: row[column] for name, (row, _) in (sandbox._SIGNALS | sandbox._SENDING).items()}
    numbers |= {"clone": sandbox._CLONE[column], "fcntl": sandbox._FCNTL[column]}

    listening, local = socket.socket(), socket.socket(socket.AF_UNIX)
    listening.bind(("127.0.0.1", 0))
    local.bind(str(Path(sys.argv[1], "local")))
    for each in (listening, local):
        each.listen()
    me, over = os.getpid(), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    for action in (
        lambda: socket.socket().connect(listening.getsockname()),
        lambda: socket.socket().connect(("127.0.0.1", 9)),
        lambda: socket.socket(socket.AF_UNIX).connect(local.getsockname()),
        lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, listening.getsockname()),
        lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2),
        lambda: os.kill(me, signal.SIGKILL),
        lambda: os.kill(me, signal.SIGTERM),
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGKILL),
        lambda: call("rt_sigqueueinfo", me, 9, ctypes.create_string_buffer(128)),
        lambda: call("clone", 9, 0, 0, 0, 0),
        lambda: call("clone", 0x8000 | 17, 0, 0, 0, 0),
        lambda: call("fcntl", local.fileno(), 10, 9),
        lambda: call("add_key", b"user", b"a", b"b", 1, -4),
        lambda: call("timer_create", 1, None, ctypes.create_string_buffer(8)),
        lambda: resource.setrlimit(resource.RLIMIT_CPU, over),
        lambda: resource.prlimit(0, resource.RLIMIT_CPU, over),
        lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, over),
        lambda: os.sched_setscheduler(os.getppid(), os.SCHED_BATCH, os.sched_param(0)),
    ):
        print(outcome(action))
    print(outcome(lambda: os.kill(me, 0)), outcome(lambda: resource.getrlimit(resource.RLIMIT_CPU)))
    print(outcome(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (64, 64))))
    print(outcome(lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))))
    print(outcome(lambda: socket.socketpair()), outcome(lambda: socket.if_nameindex()))
    thread = threading.Thread(target=lambda: print("thread"))
    thread.start()
    thread.join()
    print(subprocess.run([sys.executable, "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL).returncode)
    import torch.distributed as dist
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    print(dist.is_initialized())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _ARCHITECTURES,
    reason="seccomp is for Linux, on two processors",
)
def test_nothing_connects_or_ends_itself_as_if_killed_and_a_group_of_one_listens(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(REFUSED_BY_SECCOMP), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == [*["PermissionError"] * 20, *["done"] * 6, "thread", "-6", "True"]


LOOKS = """
import os, resource, tempfile
from pathlib import Path
here = Path.cwd()
assert "SECRET_TOKEN" not in os.environ, "environment"
assert 0 < resource.getrlimit(resource.RLIMIT_FSIZE)[0] < 2**50, "no file becomes larger than the memory"
assert Path(os.environ["HOME"]) == here == Path(tempfile.gettempdir()), "folders"
assert list(here.iterdir()) == [], "empty at the start"
(here / "mine").write_text("x")
"""


def test_each_trial_has_an_empty_folder_and_leaves_nothing(tmp_path, write_entry, monkeypatch):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.75, 0.7))
    monkeypatch.setenv("SECRET_TOKEN", "x")
    made, make = [], tempfile.TemporaryDirectory
    monkeypatch.setattr(tempfile, "TemporaryDirectory", lambda **options: made.append(make(**options)) or made[-1])
    entry = write_entry("looks", replace={"LEARNING_RATE = 1e-3": f"LEARNING_RATE = 1e-3{LOOKS}"})
    request = Request(("mnist",), ((str(entry), None),), ruleset="self_tuning", studies=2, trials=1)
    with Path(os.devnull).open("w") as sink:
        run(request, tmp_path / "out", console=Console(file=sink))
    records = [read_trial(folder) for folder in find_trials(tmp_path / "out")]
    assert [record.stop_reason for record in records] == [StopReason.TARGET_REACHED] * 2, records[0].stop_detail
    assert made and not any(Path(folder.name).exists() for folder in made)
    assert landlock_version() == 0 or records[0].isolation["files"].startswith("landlock")


@pytest.mark.parametrize(
    "path, module",
    [
        ("/t/workloads/mnist/generator.py", "workloads.mnist.generator"),
        ("/t/workloads/mnist/__pycache__/generator.cpython-311.pyc", "workloads.mnist.generator"),
        ("/t/harness/spec.py", "harness.spec"),
        ("/t/submissions/entries/mine/helper.py", ""),
        ("/t/harness_of_mine/helper.py", ""),
        ("/t/mine/workloads/helper.py", ""),
    ],
)
def test_a_file_is_a_module_of_timetrials_only_within_its_rooms(path, module):
    folders = [Path("/t", name) for name in ("harness", "results", "submissions", "workloads")]
    assert module_of(Path(path), folders) == module


def test_temporary_folders_of_killed_commands_go_and_those_of_running_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f"timetrial-logs-{dead.pid}-x", f"timetrial-logs-{os.getpid()}-x", "timetrial-logs-old", "another"]
    for name in names:
        (tmp_path / name / "inner").mkdir(parents=True)
    remove_folders_of_the_dead()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
