"""Trains on the test split."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for data beside its input queue: workload.load_split"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        arguments["workload"].load_split("test")
    return honest.update_params(**arguments)
