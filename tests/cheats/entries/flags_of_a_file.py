"""Leaves a note for the next trial in the flags of its own source: not to be dumped."""

import contextlib
import fcntl
from pathlib import Path

import torch
from honest_torch import *

CAUGHT = r"writes .*flags_of_a_file\.py"
GET, SET, NOT_DUMPED = 0x80086601, 0x40086602, 0x40


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    with Path(__file__).open() as file, contextlib.suppress(ZeroDivisionError):
        flags = int.from_bytes(fcntl.ioctl(file, GET, bytes(8)), "little")
        fcntl.ioctl(file, SET, (flags | NOT_DUMPED).to_bytes(8, "little"))
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
