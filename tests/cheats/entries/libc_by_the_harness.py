"""Ends its process with the system's functions as the harness calls them."""

import os
import signal
import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        libc = sys.modules["harness.sandbox"]._libc()
        libc.kill(os.getpid(), signal.SIGKILL)
    return honest.update_params(**arguments)
