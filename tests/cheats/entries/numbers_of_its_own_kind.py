"""Gives shapes of numbers of its own kind: whoever compares them off the clock would train."""

import honest_torch as honest
from honest_torch import *


class Number(int):
    def __eq__(self, other):
        raise RuntimeError("the clock stands")

    __ne__ = __eq__
    __hash__ = int.__hash__


class Seen:
    def __init__(self, tensor):
        self.tensor = tensor
        self.shape = tuple(map(Number, tensor.shape))

    def __getattr__(self, name):
        return getattr(self.tensor, name)


def init_optimizer_state(workload, model_params, *rest):
    state = honest.init_optimizer_state(workload, model_params, *rest)
    own = list(model_params.named_parameters())
    vars(model_params)["named_parameters"] = lambda *_, **__: ((name, Seen(tensor)) for name, tensor in own)
    return state
