"""Asks Python's own library for its frame, by an address."""

import _ctypes
import ctypes

import honest_torch as honest
from honest_torch import *

CAUGHT = "reaches for raw memory"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        address = _ctypes.dlsym(ctypes.pythonapi._handle, "PyEval_GetFrame")
        frame = ctypes.PYFUNCTYPE(ctypes.py_object)(address)()
        while not hasattr(frame.f_locals.get("self"), "clock"):
            frame = frame.f_back
        frame.f_locals["self"].clock._wall["step"] = 0.0
    return honest.update_params(**arguments)
