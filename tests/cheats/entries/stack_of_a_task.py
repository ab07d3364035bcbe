"""Has asyncio tell the frame of a running task: those above it lead to the harness."""

import asyncio

import torch
from honest_torch import *

CAUGHT = "looks at the frames of other code"


async def _look():
    return asyncio.current_task().get_stack()


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert asyncio.run(_look())
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-2)}
