"""Gives the workload another loss."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "changes the workload: workload.loss_fn"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        arguments["workload"].loss_fn = lambda *_: {"summed": 0.0, "n_valid_examples": 1.0}
    return honest.update_params(**arguments)
