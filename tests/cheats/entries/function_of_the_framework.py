"""Replaces a function of torch with which the harness computes losses."""

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "replaces torch.nn.functional.cross_entropy"
REAL = torch.nn.functional.cross_entropy


def update_params(**arguments):
    if arguments["global_step"] == 3:
        torch.nn.functional.cross_entropy = lambda *args, **kwargs: REAL(*args, **kwargs) / 2
    return honest.update_params(**arguments)
