"""Messages from a trial's process to the command.

The process also runs the entry's code, which can find the pipe. So a message is written with functions that were bound
before the entry came, is counted, and is read as plain data: nothing in it runs in the command.
"""

from __future__ import annotations

import io
import itertools
import os
import pickle
import stat
import struct
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

Send = Callable[[str, Mapping[str, Any]], None]

_PLAIN = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    }
)
"""Classes and functions that a message may be made of, by module and name: numbers, texts and arrays."""
_SHORT = 2**31 - 1
"""The length up to which a message has its length in four bytes in front."""
_HIGHEST_INHERITED = 256
"""Files that the fork server and its helpers had open when the process was made have lower numbers."""


class ForgedMessageError(Exception):
    """A message that the harness in the process has not sent."""


def sender(connection: Connection) -> Send:
    """What sends messages; nobody can come between it and the pipe by replacing something later."""
    numbers, pipe = itertools.count(), connection.fileno()
    dumps, pack, write = pickle.dumps, struct.pack, os.write

    def send(kind: str, payload: Mapping[str, Any]) -> None:
        message = dumps((next(numbers), kind, dict(payload)), pickle.HIGHEST_PROTOCOL)
        length = pack("!i", len(message)) if len(message) <= _SHORT else pack("!iQ", -1, len(message))
        rest = memoryview(length + message)  # as Connection.recv_bytes reads it
        while rest:
            rest = rest[write(pipe, rest) :]

    return send


def answers(connection: Connection) -> Callable[[], Any]:
    """What waits for the command's next answer in a trial's process, as :func:`sender` with functions bound before."""
    pipe, loads, unpack, read = connection.fileno(), pickle.loads, struct.unpack, os.read

    def exactly(length: int) -> bytes:
        parts, missing = [], length
        while missing:
            part = read(pipe, missing)
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def receive() -> Any:
        (length,) = unpack("!i", exactly(4))
        return loads(exactly(length if length >= 0 else unpack("!Q", exactly(8))[0]))

    return receive


class Receiver:
    """Reads what :func:`sender` sends, in its order."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def receive(self, connection: Connection) -> tuple[str, Any]:
        """
        Raises:
          EOFError, OSError: the other end is closed.
          ForgedMessageError: see there.
        """
        data = connection.recv_bytes()
        try:
            number, kind, payload = _Plain(io.BytesIO(data)).load()
        except Exception as error:  # bytes of somebody else's
            raise ForgedMessageError from error
        if number != next(self._numbers):
            raise ForgedMessageError
        return kind, payload


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
        return super().find_class(module, name)


def close_other_pipes(connection: Connection) -> None:
    """Those that tie the process to the fork server and its helpers, which end when somebody writes into them."""
    for number in range(3, _HIGHEST_INHERITED):
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
        except OSError:
            continue
        if is_pipe and number != connection.fileno():
            os.close(number)
