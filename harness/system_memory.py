"""What the system tells of memory to this command and its trials: whether it has run out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_EVENTS = ("memory.events", "memory.oom_control")
"""Of a group of processes, in the second version of groups and in the first."""


def processes_killed_for_memory(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """How many processes the system has ended so far because memory ran out: of this process's own group, else of this
    machine; 0 where it does not tell."""
    files = [folder / name for folder in list(_own_groups(proc, groups))[:1] for name in _EVENTS]
    return next((count for file in (*files, proc / "vmstat") if (count := _counted(file)) is not None), 0)


def _counted(file: Path) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _own_groups(proc: Path, groups: Path) -> Iterator[Path]:
    """The folders of the groups that account for this process's memory, the innermost first. Within a container its own
    group is what is mounted, whatever its name is outside."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in sorted(lines, key=lambda line: line.startswith("0:")):  # the first version's, where both are there
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = groups / "memory" if controllers else groups
        inner = top / name.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())
        return
