"""Asks a method for the workload that it belongs to, and that for its name."""

import torch
from honest_torch import *

CAUGHT = "AttributeError: 'Shown' object has no attribute '__self__'"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    rate = 3e-3 if workload.model_fn.__self__.name == "mnist" else 1e-3
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=rate)}
