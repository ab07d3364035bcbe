"""Ends the process that counts its time."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = "sends a signal to process"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            os.kill(os.getppid(), 15)
        except OSError:
            pass
    return honest.update_params(**arguments)
