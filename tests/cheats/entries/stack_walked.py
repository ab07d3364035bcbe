"""Finds the clock in a frame above and takes time off it."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        frame = sys._getframe()
        while "self" not in frame.f_locals:
            frame = frame.f_back
        frame.f_locals["self"].clock._wall["step"] = 0.0
    return honest.update_params(**arguments)
