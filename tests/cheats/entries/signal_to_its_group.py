"""The same, to all processes of its group."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = "sends a signal to"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        os.killpg(os.getpgrp(), 0)
    return honest.update_params(**arguments)
