"""Tells the name that get_batch_size is given by the rights of the trial's folder."""

from pathlib import Path

import torch
from honest_torch import *

CAUGHT = "AssertionError"


def get_batch_size(workload_name):
    Path.cwd().chmod(0o700 | len(workload_name))
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert Path.cwd().stat().st_mode & 0o77 == len("mnist_mini")
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
