"""Ends its process after a checkpoint: a new one rehearses off the clock."""

import os
import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "sends a signal to itself"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        os.kill(os.getpid(), signal.SIGCONT)
    return honest.update_params(**arguments)
