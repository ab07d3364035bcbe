"""What the system tells of memory to this command: how much it may have, what processes hold, and when it ran out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_EVENTS = ("memory.events", "memory.oom_control")
"""Of a group of processes, in the second version of groups and in the first."""
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
_SHARED_MEMORY = ("/memfd:", "/dev/zero")
"""What the system calls memory without a name that is mapped to be shared: memory of a file, and of none."""
_BLOCK_BYTES = 512
"""The unit of a file's size on disk, whatever the disk's is."""


def usable_memory(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """Bytes of memory that this command and its processes may have: the machine's, or less where a container or a
    batch system allows less."""
    files = [folder / name for folder in _own_groups(proc, groups) for name in _LIMITS]
    return min(filter(None, (psutil.virtual_memory().total, *map(_number_in, files))))


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None


def unmapped_memory(pid: int, proc: Path = PROC) -> int:
    """Bytes of memory that a process holds beside its resident memory: files without a name that lie in memory, and
    shared memory of which the process has let go the pages, though not the whole. Of a file that is mapped in part and
    not open any more only that part is seen."""
    folder = proc / str(pid)
    with contextlib.suppress(OSError):  # it ended while it was looked at, or is somebody else's
        opened = _open_in_memory(folder)
        mapped = _mapped_shared(folder / "maps", opened.keys())
        return max(0, sum(opened.values()) + mapped - _resident_shared(folder / "status"))
    return 0


def _open_in_memory(folder: Path) -> dict[int, int]:
    """Bytes of open files without a name that lie in memory, by their number."""
    devices = _devices_in_memory(folder / "mountinfo")
    found: dict[int, int] = {}
    for link in (folder / "fd").iterdir():
        with contextlib.suppress(OSError):  # it has been closed meanwhile
            name = str(link.readlink())
            if not name.endswith(" (deleted)"):
                continue
            file = link.stat()
            if name.startswith(_SHARED_MEMORY) or f"{os.major(file.st_dev)}:{os.minor(file.st_dev)}" in devices:
                found[file.st_ino] = file.st_blocks * _BLOCK_BYTES
    return found


def _devices_in_memory(mounts: Path) -> set[str]:
    lines = (line.split(" - ") for line in mounts.read_text().splitlines())
    return {mount.split()[2] for mount, kind in lines if kind.split()[0] in _IN_MEMORY}


def _mapped_shared(maps: Path, but: Iterable[int]) -> int:
    known, size = set(but), 0
    for line in maps.read_text(errors="surrogateescape").splitlines():
        if not any(name in line for name in _SHARED_MEMORY):
            continue
        addresses, rights, _, _, inode, name = line.split(maxsplit=5)
        if name.startswith(_SHARED_MEMORY) and rights[3] == "s" and int(inode) not in known:
            first, last = (int(address, 16) for address in addresses.split("-"))
            size += last - first
    return size


def _resident_shared(status: Path) -> int:
    lines = status.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssShmem:")), 0)


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
