"""Ends its process by a library that calls any function of the system."""

import os
import signal

import cffi
import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory through cffi"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        system = cffi.FFI()
        system.cdef("int kill(int, int);")
        system.dlopen(None).kill(os.getpid(), signal.SIGKILL)
    return honest.update_params(**arguments)
