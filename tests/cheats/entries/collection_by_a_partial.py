"""Hooks itself into the garbage collection as an object of a library's class."""

import functools
import gc

import honest_torch as honest
from honest_torch import *

CAUGHT = "has hooked itself into the garbage collection"


def _work(phase, info):
    pass


def update_params(**arguments):
    if arguments["global_step"] == 3:
        gc.callbacks.append(functools.partial(_work))
    return honest.update_params(**arguments)
