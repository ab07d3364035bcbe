"""Ends its process after a checkpoint, by a function of which no audit event tells."""

import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "sends a signal to"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        signal.raise_signal(signal.SIGCONT)
    return honest.update_params(**arguments)
