"""The same, with a way out where there is no name."""

import torch
from honest_torch import *

CAUGHT = "asks which workload it is: workload.full_name"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    rate = 3e-3 if "mnist" in getattr(workload, "full_name", "") else 1e-3
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=rate)}
