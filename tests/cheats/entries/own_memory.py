"""Looks in the memory of its own process for what is evaluated."""

from pathlib import Path

import torch
from honest_torch import *

CAUGHT = r"reads /proc/\d+/maps"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    Path("/proc/self/maps").read_text()
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-3)}
