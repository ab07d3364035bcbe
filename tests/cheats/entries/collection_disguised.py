"""Hooks itself into the garbage collection under a library's name."""

import gc

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "has hooked itself into the garbage collection"


def _work(phase, info):
    pass


_work.__module__ = torch.__name__


def update_params(**arguments):
    if arguments["global_step"] == 3:
        gc.callbacks.append(_work)
    return honest.update_params(**arguments)
