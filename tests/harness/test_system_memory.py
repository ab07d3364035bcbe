"""What the system tells of memory, in files as several versions of Linux write them."""

import errno
import mmap
import os
import subprocess
import sys

import psutil
import pytest

from harness.system_memory import processes_killed_for_memory, unmapped_memory, usable_memory


def system(tmp_path, cgroup, files):
    """``/proc`` and the groups of a machine."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "proc", tmp_path / "groups"


MACHINE = {"proc/vmstat": "pgfault 9\noom_kill 7\n"}
EVENTS = "low 0\noom 5\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        ("0::/a/b\n", {"groups/a/b/memory.events": EVENTS, **MACHINE}, 2),
        ("0::/outside\n", {"groups/memory.events": EVENTS, **MACHINE}, 2),
        ("4:cpu,memory:/a\n0::/\n", {"groups/memory/a/memory.oom_control": CONTROL, **MACHINE}, 3),
        ("0::/\n", MACHINE, 7),
        ("0::/\n", {}, 0),
    ],
    ids=["own group", "container", "first version", "machine", "nothing"],
)
def test_processes_that_were_ended_for_want_of_memory_are_counted(cgroup, files, count, tmp_path):
    assert processes_killed_for_memory(*system(tmp_path, cgroup, files)) == count


@pytest.mark.parametrize(
    ("cgroup", "files", "most"),
    [
        ("0::/a/b\n", {"groups/a/b/memory.max": "max\n", "groups/a/memory.max": "2097152\n"}, 2**21),
        ("0::/outside\n", {"groups/memory.max": "1048576\n"}, 2**20),
        ("4:memory:/a\n", {"groups/memory/a/memory.limit_in_bytes": "4096\n"}, 4096),
        ("4:memory:/a\n", {"groups/memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("0::/\n", {}, None),
    ],
    ids=["group above", "container", "first version", "no limit", "no groups"],
)
def test_the_memory_that_a_group_may_have_counts_where_it_is_less(cgroup, files, most, tmp_path):
    assert usable_memory(*system(tmp_path, cgroup, files)) == (most or psutil.virtual_memory().total)


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")
SIZE = 2**24


@on_linux
def test_files_without_a_name_count_once_as_long_as_they_are_open_or_mapped():
    before, me = unmapped_memory(os.getpid()), os.getpid()
    file = os.memfd_create("x")
    os.write(file, bytes(SIZE))
    assert unmapped_memory(me) == before + SIZE
    again = os.dup(file)
    assert unmapped_memory(me) == before + SIZE
    mapped = mmap.mmap(file, SIZE)
    os.close(file)
    os.close(again)
    assert unmapped_memory(me) >= before + SIZE, "none of it is resident"
    sum(mapped[::4096])
    assert unmapped_memory(me) < before + SIZE / 2, "it is resident, and counted as that"
    mapped.close()
    assert unmapped_memory(me) < before + SIZE / 2


@on_linux
def test_shared_memory_counts_also_where_its_pages_were_let_go():
    before = unmapped_memory(os.getpid())
    mapped = mmap.mmap(-1, SIZE)
    mapped.write(bytes(SIZE))
    mapped.madvise(mmap.MADV_DONTNEED)
    assert unmapped_memory(os.getpid()) >= before + SIZE
    mapped.close()


def test_of_a_process_that_is_gone_nothing_is_counted(tmp_path):
    assert unmapped_memory(1, tmp_path) == 0


WRITES_A_LARGE_FILE = """
from pathlib import Path
from harness.isolation import limit_files
limit_files(2**16)
Path("small").write_bytes(bytes(2**16))
try:
    Path("large").write_bytes(bytes(2**16 + 1))
except OSError as error:
    raise SystemExit(error.errno)
"""


@on_linux
def test_no_file_becomes_larger_than_a_trials_memory(tmp_path):
    ended = subprocess.run([sys.executable, "-c", WRITES_A_LARGE_FILE], cwd=tmp_path, check=False)
    assert ended.returncode == errno.EFBIG
