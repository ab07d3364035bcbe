"""Gives the model's class another forward pass, which remembers what is evaluated."""

import honest_torch as honest
from honest_torch import *

CAUGHT = r"replaces workloads\.mnist\.model_torch\.Model\.forward"
SEEN = []


def update_params(**arguments):
    if arguments["global_step"] == 3:
        kind = type(arguments["current_param_container"])
        forward = kind.forward
        kind.forward = lambda self, batch, rate: [SEEN.append(batch), forward(self, batch, rate)][1]
    return honest.update_params(**arguments)
