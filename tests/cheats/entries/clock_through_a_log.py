"""Takes the frame that logging hands out, and gives the clock found there methods of its own."""

import logging

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        frame = logging.currentframe()
        while not hasattr(frame.f_locals.get("self"), "clock"):
            frame = frame.f_back
        frame.f_locals["self"].clock.submission_time = lambda: 0.01
    return honest.update_params(**arguments)
