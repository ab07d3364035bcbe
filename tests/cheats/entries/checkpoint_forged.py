"""Writes a checkpoint of its own, by a way of which no event tells, and waits to be killed from outside."""

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
        time.sleep(20)
    return honest.update_params(**arguments)
