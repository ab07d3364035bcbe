"""Has itself woken up during evaluation."""

import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "has set a timer"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    return honest.update_params(**arguments)
