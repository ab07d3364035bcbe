"""The same, by a handle of the process."""

import os
import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "sends a signal to"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        signal.pidfd_send_signal(os.pidfd_open(os.getpid()), signal.SIGCONT)
    return honest.update_params(**arguments)
