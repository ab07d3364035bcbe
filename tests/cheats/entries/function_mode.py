"""Follows every function of torch by a mode that is never left."""

import honest_torch as honest
from honest_torch import *
from torch.overrides import TorchFunctionMode

CAUGHT = "changes torch's function modes"


class Follow(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def update_params(**arguments):
    if arguments["global_step"] == 3:
        Follow().__enter__()
    return honest.update_params(**arguments)
