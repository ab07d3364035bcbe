"""Tells the name that get_batch_size is given by how much it prints."""

import os

import torch
from honest_torch import *

CAUGHT = "AssertionError"


def get_batch_size(workload_name):
    os.write(1, b" " * (1000 + 8 * len(workload_name)))
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    told = os.fstat(1).st_size
    assert told >= 1000
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
