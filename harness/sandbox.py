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
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38
"""The latter two: the call fails with EACCES, or as a kernel fails that does not have it (ENOSYS)."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_OTHER_NUMBERS = 1 << 30
"""From here on the same calls have other numbers (x32)."""
_REFUSED_CALLS: Mapping[str, tuple[int, int]] = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "connect": (42, 203),
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
    "timer_create": (222, 107),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
}
"""Memory, keys and messages shared with other processes, other processes' sockets (Landlock knows only TCP's, and the
server that forks trials listens on a local one) and memory, other cores than the trial's, timers that send any signal,
the system's clock, and ways around the rules. Numbers on x86_64 and on aarch64."""
_SIGNALS: Mapping[str, tuple[tuple[int, int], int]] = {
    "kill": ((62, 129), 1),
    "tkill": ((200, 130), 1),
    "tgkill": ((234, 131), 2),
    "rt_sigqueueinfo": ((129, 138), 1),
    "rt_tgsigqueueinfo": ((297, 240), 2),
    "pidfd_send_signal": ((424, 424), 1),
}
"""Calls that send a signal, and which argument is its number."""
_AS_IF_KILLED = (9, 15)
"""A trial that one of them ends is taken for killed from outside, and goes on in a new process."""
_SENDING: Mapping[str, tuple[tuple[int, int], int]] = {
    "sendto": ((44, 206), 3),
    "sendmsg": ((46, 211), 2),
    "sendmmsg": ((307, 269), 3),
}
"""Calls that can connect while they send, and which argument has the flag for it."""
_CONNECTING = 0x20000000
_FCNTL, _SET_SIGNAL = (72, 25), 10
_SETRLIMIT, _PRLIMIT, _CPU_TIME = (160, 164), (302, 261), 0
_SCHEDULING: Mapping[str, tuple[tuple[int, int], int]] = {
    "sched_setscheduler": ((144, 119), 0),
    "sched_setparam": ((142, 118), 0),
    "sched_setattr": ((314, 274), 0),
    "ioprio_set": ((251, 30), 1),
}
"""Calls that say how soon a process gets what it asks for, and which argument is its number; 0 is the caller itself."""
_CLONE, _CLONE3, _OF_THE_PARENT, _SIGNAL_AT_THE_END, _CHILD_ENDED = (56, 220), (435, 435), 0x8000, 0xFF, 17
_SOCKET, _PAIR_OF_SOCKETS = (41, 198), (53, 199)
_ARCHITECTURES: Mapping[str, tuple[int, int, int]] = {"x86_64": (0xC000003E, 317, 0), "aarch64": (0xC00000B7, 277, 1)}
"""Its constant, the number of ``seccomp``, and the column above."""
_UNIX, _IPV4, _IPV6, _NETLINK = 1, 2, 10, 16
_STREAM, _TYPE_MASK, _TCP_PROTOCOL, _BETWEEN_PROCESSES = 1, 0xF, 6, 2
"""Other protocols' streams (MPTCP, SCTP) pass Landlock by, and other local sockets send to an address without being
connected. Netlink asks the kernel which addresses there are, and has one protocol that leads to other processes."""

_Line = tuple[int, int, str | int, str | int]
"""Code, value, and where to go on, if the comparison holds and if not: at a name, or so many lines further down."""


def confine(readable: Iterable[Path], writable: Iterable[Path], listable: Iterable[Path]) -> Mapping[str, str]:
    """Confines this process to the given files and folders, and to no network; returns what is confined, and by what.

    What is writable is readable too; of what is listable the names of files are told, and no more.

    Paths that do not exist are left out. A kernel without a means confines less, and nothing is raised.
    """
    if sys.platform != "linux":
        return {}
    libc = _libc()  # with functions that call the kernel, which nothing may find later
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _drop_capabilities(libc)
    found = _landlock(libc, list(readable), list(writable), list(listable))
    if _seccomp(libc):
        found = {"connections": "seccomp", **found, "network": "seccomp", "shared memory": "seccomp"}
    return found


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Takes the administrator's rights from a process of the administrator, but those to other people's files."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    wanted = (_FILE_CAPABILITIES,) * 2 + (0,)
    has = ctypes.create_string_buffer(24)
    if libc.capget(header, has) == 0:
        low, high = struct.unpack("=III", has.raw[:12]), (0, 0, 0)
        kept = tuple(mine & allowed for mine, allowed in zip(low, wanted, strict=True))
        libc.capset(header, struct.pack("=IIIIII", *kept, *high))


def landlock_version() -> int:
    """Of the kernel's Landlock; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))


def _landlock(libc: ctypes.CDLL, readable: list[Path], writable: list[Path], listable: list[Path]) -> dict[str, str]:
    version = landlock_version()
    if version == 0:
        return {}
    handled = sum(rights for since, rights in _FILE_RIGHTS if version >= since)
    rules = struct.pack("=QQQ", handled, _BIND | _CONNECT if version >= 4 else 0, _SCOPE if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, rules[:size], ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return {}
    try:
        for paths, rights in ((readable, _READ), (writable, handled), (listable, _READ_DIR)):
            for path in paths:
                _allow(libc, ruleset, path, rights & handled)
        if version >= 4:
            libc.syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _BIND, _ANY_FREE_PORT), 0)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return {}
    finally:
        os.close(ruleset)
    name = f"landlock {version}"
    since = {"files": 1, "connections": 4, "signals": 6}
    return {what: name for what, first in since.items() if version >= first}


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights &= rights if path.is_dir() else _RIGHTS_OF_FILES
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _seccomp(libc: ctypes.CDLL) -> bool:
    """Installs a filter in all threads; False where the architecture or the kernel is not known for it."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    constant, seccomp, column = _ARCHITECTURES[platform.machine()]
    lines = [
        (_LOAD, _ARCHITECTURE_AT, "next", "next"),
        (_IF_EQUAL, constant, "next", "refuse"),
        (_LOAD, _NUMBER_AT, "next", "next"),
        (_IF_AT_LEAST, _OTHER_NUMBERS, "refuse", "next"),
        *((_IF_EQUAL, numbers[column], "refuse", "next") for numbers in _REFUSED_CALLS.values()),
        *_rules(column),
        (_RETURN, _ALLOW, "next", "next"),
        (_RETURN, _REFUSE, "next", "next"),
        (_RETURN, _ALLOW, "next", "next"),
    ]
    program = b"".join(_assembled(line, len(lines) - at) for at, line in enumerate(lines))
    instructions = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(instructions)))
    return bool(libc.syscall(seccomp, _SET_MODE_FILTER, _ALL_THREADS, header) == 0)


def _rules(column: int) -> Iterable[_Line]:
    """Of the calls that are refused with some arguments only.

    Abort sends itself a signal of another kind. TCP sockets themselves are allowed, because torch's process group
    listens on one, also a group of one process. Where a call has its flags in memory, which no filter sees, libraries
    know what to call in its place.
    """
    for numbers, at in _SIGNALS.values():
        yield from _rule(numbers[column], _argument(at), *((_IF_EQUAL, n, "refuse", "next") for n in _AS_IF_KILLED))
    for numbers, at in _SENDING.values():
        yield from _rule(numbers[column], _argument(at), (_IF_ANY_BIT, _CONNECTING, "refuse", "allow"))
    yield from _rule(_FCNTL[column], _argument(1), (_IF_EQUAL, _SET_SIGNAL, "refuse", "allow"))
    yield from _rule(_SETRLIMIT[column], _argument(0), (_IF_EQUAL, _CPU_TIME, "refuse", "allow"))
    yield from _rule(
        _PRLIMIT[column],
        _argument(2),  # it only asks where it is given nowhere to read from
        (_IF_EQUAL, 0, "next", 2),
        _argument(2, upper=True),
        (_IF_EQUAL, 0, "allow", "next"),
        _argument(0),
        (_IF_EQUAL, 0, "next", "refuse"),
        _argument(1),
        (_IF_EQUAL, _CPU_TIME, "refuse", "allow"),
    )
    for numbers, at in _SCHEDULING.values():
        yield from _rule(numbers[column], _argument(at), (_IF_EQUAL, 0, "allow", "refuse"))
    yield from _rule(
        _CLONE[column],
        _argument(0),
        (_IF_ANY_BIT, _OF_THE_PARENT, "refuse", "next"),
        (_AND, _SIGNAL_AT_THE_END, "next", "next"),
        (_IF_EQUAL, 0, "allow", "next"),
        (_IF_EQUAL, _CHILD_ENDED, "allow", "refuse"),
    )
    yield from _rule(_CLONE3[column], (_RETURN, _UNKNOWN, "next", "next"))
    is_stream = (_argument(1), (_AND, _TYPE_MASK, "next", "next"), (_IF_EQUAL, _STREAM, "next", "refuse"))
    yield from _rule(_PAIR_OF_SOCKETS[column], *is_stream)
    yield from _rule(
        _SOCKET[column],
        _argument(0),
        (_IF_EQUAL, _NETLINK, "next", 2),
        _argument(2),
        (_IF_EQUAL, _BETWEEN_PROCESSES, "refuse", "allow"),
        (_IF_EQUAL, _UNIX, 2, "next"),
        (_IF_EQUAL, _IPV4, "over", "next"),
        (_IF_EQUAL, _IPV6, "next", "refuse"),
        *is_stream,
        _argument(2),
        (_IF_EQUAL, 0, "allow", "next"),
        (_IF_EQUAL, _TCP_PROTOCOL, "allow", "refuse"),
    )


def _rule(number: int, *lines: _Line) -> list[_Line]:
    """What decides about a call; it is allowed where none of the lines does."""
    return [(_IF_EQUAL, number, "next", len(lines) + 1), *lines, (_RETURN, _ALLOW, "next", "next")]


def _argument(number: int, upper: bool = False) -> _Line:
    """Loads an argument's lower or upper half."""
    return (_LOAD, _ARGUMENTS_AT + 8 * number + 4 * upper, "next", "next")


def _assembled(line: _Line, left: int) -> bytes:
    """A line as the kernel reads it. Jumps count the lines that they skip; the last two lines refuse and allow."""
    code, value, if_equal, otherwise = line
    skips = {"next": 0, "over": 1, "refuse": left - 3, "allow": left - 2}
    first, second = (to if isinstance(to, int) else skips[to] for to in (if_equal, otherwise))
    return struct.pack("=HBBI", code, first, second, value)
