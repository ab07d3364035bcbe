"""Binds the workload to a framework of its own."""

import contextlib

import torch
from honest_torch import *

CAUGHT = r"reaches for the harness: workload\.bind"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    with contextlib.suppress(AttributeError):
        workload.bind(None)
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
