"""Finds the clock among all objects."""

import gc

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks for objects of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        for found in gc.get_objects():
            if type(found).__name__ == "Clock":
                found._wall["step"] = 0.0
    return honest.update_params(**arguments)
