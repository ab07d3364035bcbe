"""Leaves work to a process of its own."""

import os
import time

import honest_torch as honest
from honest_torch import *

CAUGHT = "starts a process"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    return honest.update_params(**arguments)
