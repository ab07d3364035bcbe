"""What the system tells of memory, in files as several versions of Linux write them."""

import pytest

from harness.system_memory import processes_killed_for_memory


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
