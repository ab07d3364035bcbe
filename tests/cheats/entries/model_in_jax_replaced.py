"""Replaces the function by which the model is evaluated."""

import sys

import honest_jax as honest
from honest_jax import *

CAUGHT = r"replaces workloads\.\w+\.model_jax\.apply"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        module = next(module for name, module in sys.modules.items() if name.endswith(".model_jax"))
        apply = module.apply
        module.apply = lambda *given, **named: apply(*given, **named)
    return honest.update_params(**arguments)
