"""Hides what it does in code made from text."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "makes code at run time|runs code made at run time"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        exec("import time; time.perf_counter = lambda: 0.0")
    return honest.update_params(**arguments)
