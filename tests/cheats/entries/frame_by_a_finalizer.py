"""Has a function of Python's own look at frames, and goes up from there."""

import sys
import weakref

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


class Held:
    pass


def update_params(**arguments):
    held = Held()
    frame = weakref.finalize(held, sys._getframe)()
    while frame is not None and "clock" not in dir(frame.f_locals.get("self")):
        frame = frame.f_back
    return honest.update_params(**arguments)
