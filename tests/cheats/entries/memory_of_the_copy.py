"""Tells the name that get_batch_size is given by the memory that it takes."""

import resource

import torch
from honest_torch import *

CAUGHT = "AssertionError"


def get_batch_size(workload_name):
    assert bytearray(b"x") * 2**20 * (1500 + 10 * len(workload_name))
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert any(resource.getrusage(resource.RUSAGE_CHILDREN))
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
