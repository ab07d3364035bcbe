"""Trains in a thread that goes on during evaluation."""

import threading
import time

import honest_torch as honest
from honest_torch import *

CAUGHT = "starts a thread"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return honest.update_params(**arguments)
