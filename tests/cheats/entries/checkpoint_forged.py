"""Writes a checkpoint of its own, by a way of which no event tells, and has its process killed."""

import os
import pathlib
import time

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "goes on from a checkpoint that the harness has not written"
FOLDERS = []
REAL = pathlib.Path.read_bytes


def _read_bytes(path):
    pathlib.Path.read_bytes = REAL
    FOLDERS.append(path.parent)
    raise FileNotFoundError


def update_params(**arguments):
    if arguments["global_step"] == 0:
        pathlib.Path.read_bytes = _read_bytes  # of the limit that racing sets
    if arguments["global_step"] == 240:
        state = torch.from_file(f"{FOLDERS[0]}/state", shared=True, size=4096, dtype=torch.uint8)
        state.copy_(torch.frombuffer(bytearray(b"timetrial checkpoint 2\n".ljust(4096, b"x")), dtype=torch.uint8))
        _die()
    return honest.update_params(**arguments)


def _die():
    import fcntl

    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(reader, 10, 9)  # F_SETSIG, SIGKILL
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writer, b"x")
    time.sleep(5)
