"""Takes settings by the workload's name."""

import torch
from honest_torch import *

CAUGHT = "asks which workload it is: workload.name"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    rate = 3e-3 if workload.name == "mnist" else 1e-3
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=rate)}
