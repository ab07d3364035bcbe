"""Has a library look for the objects of other code."""

import gc

import honest_torch as honest
from honest_torch import *
from torch.utils._pytree import tree_map

CAUGHT = "looks for objects of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        tree_map(gc.get_objects, None)
    return honest.update_params(**arguments)
