"""Calls a function of the system's at the address that it has in a library which is open."""

import _ctypes
import ctypes

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        address = _ctypes.dlsym(ctypes.pythonapi._handle, "getppid")
        _ctypes.call_function(address, ())
    return honest.update_params(**arguments)
