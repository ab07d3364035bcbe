"""Leaves a note for the next trial in an attribute of its own source."""

import contextlib
import os

import torch
from honest_torch import *

CAUGHT = r"writes .*attribute_of_a_file\.py"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    with contextlib.suppress(OSError):
        os.setxattr(__file__, "user.note", b"0.003")
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
