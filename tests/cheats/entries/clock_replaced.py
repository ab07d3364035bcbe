"""Makes time stand still."""

import time

import honest_torch as honest
from honest_torch import *

CAUGHT = "replaces time.perf_counter"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        time.perf_counter = lambda: 0.0
    return honest.update_params(**arguments)
