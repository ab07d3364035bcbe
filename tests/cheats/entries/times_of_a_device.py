"""Leaves what it learned in the times of a device, which all trials see."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = "writes /dev/null"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            os.utime("/dev/null", ns=(0, 42))
        except OSError:
            pass
    return honest.update_params(**arguments)
