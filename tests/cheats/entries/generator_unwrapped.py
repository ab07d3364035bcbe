"""Makes the validation data by the function beneath the announced one."""

import sys

import torch
from honest_torch import *

CAUGHT = "has no attribute '__wrapped__'"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    made = sys.modules["workloads.mnist.workload"].WORKLOAD
    assert made.generate.__wrapped__(made())
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-2)}
