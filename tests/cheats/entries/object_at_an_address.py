"""Makes an object of an address, behind Python's back."""

import _ctypes

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        _ctypes.PyObj_FromPtr(id(arguments))
    return honest.update_params(**arguments)
