"""Writes into memory behind Python's back."""

import ctypes

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        ctypes.string_at(id(arguments), 8)
    return honest.update_params(**arguments)
