"""Reaches what stands behind the workload's view through a weak reference to it."""

import weakref

import torch
from honest_torch import *

CAUGHT = "IndexError"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    behind = weakref.getweakrefs(workload)[0].__callback__.__defaults__[0]()
    assert behind[workload][0].name == "mnist"
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-2)}
