"""Takes more cores than the trial has."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = "PermissionError"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    return honest.update_params(**arguments)
