"""Gives back another model than it was given."""

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "changes the model"


def update_params(**arguments):
    state, model, model_state = honest.update_params(**arguments)
    if arguments["global_step"] == 3:
        model.extra = torch.nn.Linear(10, 10)
    return state, model, model_state
