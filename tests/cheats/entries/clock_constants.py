"""Takes the step out of the timed segments."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "replaces harness.clock.TIMED"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        sys.modules["harness.clock"].TIMED = ("initialise",)
    return honest.update_params(**arguments)
