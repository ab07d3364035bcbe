"""Has a library kill it, so that it seems to be killed from outside and starts over."""

import honest_torch as honest
import psutil
from honest_torch import *

CAUGHT = "sends a signal to itself"


def update_params(**arguments):
    if arguments["global_step"] == 20:
        psutil.Process().kill()
    return honest.update_params(**arguments)
