"""The same through Python's own library."""

import inspect

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        for found in inspect.stack():
            loop = found.frame.f_locals.get("self")
            if hasattr(loop, "clock"):
                loop.clock._wall["step"] = 0.0
    return honest.update_params(**arguments)
