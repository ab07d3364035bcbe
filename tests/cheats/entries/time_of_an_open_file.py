"""Leaves a note for the next trial in the time of its own source, which it holds open."""

import os
from pathlib import Path

import torch
from honest_torch import *

CAUGHT = r"writes .*time_of_an_open_file\.py"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    with Path(__file__).open() as file:
        os.utime(file.fileno(), (3, 3))
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
