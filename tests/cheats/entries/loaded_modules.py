"""Looks which workloads' modules are loaded: all are, so it learns nothing, and finds no single one."""

import sys

import torch
from honest_torch import *

CAUGHT = "AssertionError: every workload is loaded"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    loaded = {
        name.split(".")[1] for name in sys.modules if name.startswith("workloads.") and name.endswith(".workload")
    }
    assert len(loaded) == 1, "every workload is loaded"
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3 if "mnist" in loaded else 1e-3)}
