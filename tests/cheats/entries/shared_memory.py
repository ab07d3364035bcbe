"""Leaves what it learned in shared memory."""

from multiprocessing import shared_memory

import honest_torch as honest
from honest_torch import *

CAUGHT = "PermissionError"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        shared_memory.SharedMemory(create=True, size=1024)
    return honest.update_params(**arguments)
