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
_VERSION_FLAG, _PATH_BENEATH, _NET_PORT = 1, 1, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_FILE_RIGHTS: tuple[tuple[int, int], ...] = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE))
"""(version from which the kernel knows them, rights); moving between folders is the second, truncating the third."""
_BIND, _CONNECT = 1 << 0, 1 << 1
"""Of TCP, from version 4."""
_SCOPE = (1 << 0) | (1 << 1)
"""Abstract sockets of others and signals to others, from version 6."""
_ANY_FREE_PORT = 0
_NO_NEW_PRIVILEGES = 38
_CAPABILITY_VERSION, _FILE_CAPABILITIES = 0x20080522, 0b1111
"""The latter: to change owners, to read and write whatever the permissions, and to act as a file's owner."""

# ---- seccomp: Documentation/userspace-api/seccomp_filter.rst ----

_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 13  # the latter: the call fails with EACCES
_LOAD, _IF_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_AT = 0, 4, (16, 24, 32)
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
_CONNECT_CALL = (42, 203)
_ARCHITECTURES: Mapping[str, tuple[int, int, int, int]] = {
    "x86_64": (0xC000003E, 317, 41, 0),
    "aarch64": (0xC00000B7, 277, 198, 1),
}
"""Its constant, the numbers of ``seccomp`` and ``socket``, and the column above."""
_UNIX, _IPV4, _IPV6, _NETLINK = 1, 2, 10, 16
_STREAM, _TYPE_MASK, _TCP_PROTOCOL = 1, 0xF, 6
"""Other protocols' streams (MPTCP, SCTP) pass Landlock by. Netlink asks the kernel which addresses there are."""


def confine(readable: Iterable[Path], writable: Iterable[Path], listable: Iterable[Path]) -> Mapping[str, str]:
    """Confines this process to the given files and folders, and to no network; returns what is confined, and by what.

    What is writable is readable too; of what is listable the names of files are told, and no more.

    Paths that do not exist are left out. A kernel without a means confines less, and nothing is raised.
    """
    if sys.platform != "linux":
        return {}
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _drop_capabilities()
    found = _landlock(list(readable), list(writable), list(listable))
    if _seccomp(tcp_is_confined="connections" in found):
        found |= {"network": "seccomp", "shared memory": "seccomp"}
    return found


def _drop_capabilities() -> None:
    """Takes the administrator's rights from a process of the administrator, but those to other people's files."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    wanted = (_FILE_CAPABILITIES,) * 2 + (0,)
    has = ctypes.create_string_buffer(24)
    if _libc.capget(header, has) == 0:
        low, high = struct.unpack("=III", has.raw[:12]), (0, 0, 0)
        kept = tuple(mine & allowed for mine, allowed in zip(low, wanted, strict=True))
        _libc.capset(header, struct.pack("=IIIIII", *kept, *high))


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
    rules = struct.pack("=QQQ", handled, _BIND | _CONNECT if version >= 4 else 0, _SCOPE if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_CREATE_RULESET, rules[:size], ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return {}
    try:
        for paths, rights in ((readable, _READ), (writable, handled), (listable, _READ_DIR)):
            for path in paths:
                _allow(ruleset, path, rights & handled)
        if version >= 4:
            _libc.syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _BIND, _ANY_FREE_PORT), 0)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return {}
    finally:
        os.close(ruleset)
    name = f"landlock {version}"
    since = {"files": 1, "connections": 4, "signals": 6}
    return {what: name for what, first in since.items() if version >= first}


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


def _seccomp(tcp_is_confined: bool) -> bool:
    """Installs a filter in all threads; False where the architecture or the kernel is not known for it.

    TCP sockets themselves are allowed, because torch's process group listens on one, also a group of one process;
    where Landlock does not keep them from connecting, nothing can connect, not even to a local socket.
    """
    if platform.machine() not in _ARCHITECTURES:
        return False
    constant, seccomp, socket, column = _ARCHITECTURES[platform.machine()]
    numbers = [row[column] for row in _REFUSED_CALLS.values()]
    numbers += [] if tcp_is_confined else [_CONNECT_CALL[column]]
    lines: list[tuple[int, int, str, str]] = [
        (_LOAD, _ARCHITECTURE_AT, "", ""),
        (_IF_EQUAL, constant, "next", "allow"),
        (_LOAD, _NUMBER_AT, "", ""),
        *((_IF_EQUAL, number, "refuse", "next") for number in numbers),
        (_IF_EQUAL, socket, "next", "allow"),
        (_LOAD, _ARGUMENT_AT[0], "", ""),
        (_IF_EQUAL, _UNIX, "allow", "next"),
        (_IF_EQUAL, _NETLINK, "allow", "next"),
        (_IF_EQUAL, _IPV4, "over", "next"),
        (_IF_EQUAL, _IPV6, "next", "refuse"),
        (_LOAD, _ARGUMENT_AT[1], "", ""),
        (_AND, _TYPE_MASK, "", ""),
        (_IF_EQUAL, _STREAM, "next", "refuse"),
        (_LOAD, _ARGUMENT_AT[2], "", ""),
        (_IF_EQUAL, 0, "allow", "next"),
        (_IF_EQUAL, _TCP_PROTOCOL, "allow", "next"),
        (_RETURN, _REFUSE, "", ""),
        (_RETURN, _ALLOW, "", ""),
    ]
    program = b"".join(_assembled(line, len(lines) - at) for at, line in enumerate(lines))
    instructions = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(instructions)))
    return bool(_libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, header) == 0)


def _assembled(line: tuple[int, int, str, str], left: int) -> bytes:
    """A line as the kernel reads it. Jumps count the lines that they skip; the last two lines refuse and allow."""
    code, value, if_equal, otherwise = line
    skips = {"": 0, "next": 0, "over": 1, "refuse": left - 3, "allow": left - 2}
    return struct.pack("=HBBI", code, skips[if_equal], skips[otherwise], value)
