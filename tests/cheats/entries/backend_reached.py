"""Reaches through the workload for what evaluates it."""

import contextlib

import torch
from honest_torch import *

CAUGHT = r"reaches for the harness: workload\._backend"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    with contextlib.suppress(AttributeError):
        workload._backend.apply_model = lambda *_: None
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
