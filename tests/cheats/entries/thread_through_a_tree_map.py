"""Has a library start a thread."""

import threading
import time

import honest_torch as honest
from honest_torch import *
from torch.utils._pytree import tree_map

CAUGHT = "starts a thread"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        tree_map(threading.Thread.start, threading.Thread(target=time.sleep, args=(60,), daemon=True))
    return honest.update_params(**arguments)
