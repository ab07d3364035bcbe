"""Has a traceback tell the values of all variables on the stack, the workload's name among them."""

import traceback

import torch
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    found = traceback.StackSummary.extract(traceback.walk_stack(None), capture_locals=True)
    told = " ".join(value for summary in found for value in (summary.locals or {}).values())
    assert "workload='mnist'" in told
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
