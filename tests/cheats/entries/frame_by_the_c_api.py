"""Asks Python's own library for the frame, where no event tells of it."""

import ctypes

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        current = ctypes.pythonapi.PyEval_GetFrame
        current.restype = ctypes.py_object
        frame = current()
        while not hasattr(frame.f_locals.get("self"), "clock"):
            frame = frame.f_back
        frame.f_locals["self"].clock._wall["step"] = 0.0
    return honest.update_params(**arguments)
