"""Linux's means of confining a process from within, for good: Landlock for files, TCP and signals, seccomp for calls.

Both need no privilege, and hold for this thread and all that it starts, whatever they execute. Where the kernel lacks
them nothing is confined; what holds is returned, so that a record can tell.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# ---- Landlock: Documentation/userspace-api/landlock.rst of the kernel ----

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_FILE_RIGHTS: tuple[tuple[int, int], ...] = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE))
"""(version from which the kernel knows them, rights); moving between folders is the second, truncating the third."""
_TCP, _SCOPE = (1 << 0) | (1 << 1), (1 << 0) | (1 << 1)
"""Binding and connecting, from version 4; abstract sockets and signals to others, from version 6."""
_NO_NEW_PRIVILEGES = 38

# ---- seccomp: Documentation/userspace-api/seccomp_filter.rst ----

_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # the latter: the call fails with EACCES
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_REFUSED_CALLS: Mapping[str, tuple[int, int]] = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
}
"""Memory and messages shared with other processes, other processes' memory, other cores than the trial's, the system's
clock, and ways around the rules. Numbers on x86_64 and on aarch64."""
_ARCHITECTURES: Mapping[str, tuple[int, int, int, int]] = {
    "x86_64": (0xC000003E, 317, 41, 0),
    "aarch64": (0xC00000B7, 277, 198, 1),
}
"""Its constant, the numbers of ``seccomp`` and ``socket``, and the column above."""
_UNIX_SOCKETS = 1


def confine(readable: Iterable[Path], writable: Iterable[Path], listable: Iterable[Path]) -> Mapping[str, str]:
    """Confines this process to the given files and folders, and to no network; returns what is confined, and by what.

    What is writable is readable too; of what is listable the names of files are told, and no more.

    Paths that do not exist are left out. A kernel without a means confines less, and nothing is raised.
    """
    if sys.platform != "linux":
        return {}
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    found = _landlock(list(readable), list(writable), list(listable))
    if _seccomp():
        found |= {"network": "seccomp", "shared memory": "seccomp"}
    return found


def landlock_version() -> int:
    """Of the kernel's Landlock; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))


def _landlock(readable: list[Path], writable: list[Path], listable: list[Path]) -> dict[str, str]:
    version = landlock_version()
    if version == 0:
        return {}
    handled = sum(rights for since, rights in _FILE_RIGHTS if version >= since)
    rules = struct.pack("=QQQ", handled, _TCP if version >= 4 else 0, _SCOPE if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_CREATE_RULESET, rules[:size], ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return {}
    try:
        for paths, rights in ((readable, _READ), (writable, handled), (listable, _READ_DIR)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return {}
    finally:
        os.close(ruleset)
    name = f"landlock {version}"
    return {"files": name} | ({"signals": name} if version >= 6 else {})


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= rights if path.is_dir() else _RIGHTS_OF_FILES
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _seccomp() -> bool:
    """Installs a filter in all threads; False where the architecture or the kernel is not known for it."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    constant, seccomp, socket, column = _ARCHITECTURES[platform.machine()]
    numbers = [row[column] for row in _REFUSED_CALLS.values()]
    n = len(numbers)
    # From here on: jumps count the instructions that they skip. The end is [socket test: 2] allow, refuse.
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, constant),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_IF_EQUAL, n - i + 3, 0, number) for i, number in enumerate(numbers)),
        (_IF_EQUAL, 0, 2, socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_IF_EQUAL, 0, 1, _UNIX_SOCKETS),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(instructions)))
    return bool(_libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, header) == 0)
