"""Works whenever garbage is collected, also during evaluation."""

import gc

import honest_torch as honest
from honest_torch import *

CAUGHT = "has hooked itself into the garbage collection"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        gc.callbacks.append(lambda *_: None)
    return honest.update_params(**arguments)
