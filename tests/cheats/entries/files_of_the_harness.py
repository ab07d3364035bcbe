"""Puts itself between the harness and the files that it writes while the clock stands."""

import pathlib
import time

import honest_torch as honest
from honest_torch import *

CAUGHT = "replaces pathlib.Path.replace"
REAL = pathlib.Path.replace


def _replace(self, target):
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass  # whatever it likes
    return REAL(self, target)


def update_params(**arguments):
    pathlib.Path.replace = _replace
    return honest.update_params(**arguments)
