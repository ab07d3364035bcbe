"""Slows the clock between two evaluations, and is gone when somebody looks."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = r"replaces harness\.clock\.Clock\.switch"
CLOCK = sys.modules["harness.clock"].Clock
REAL, PERIOD = CLOCK.switch, 50


def _switch(self, segment):
    left = REAL(self, segment)
    if left == "step":
        moved = 0.9 * self._wall["step"]
        self._wall["step"] -= moved
        self._wall["log"] += moved
    return left


def update_params(**arguments):
    result = honest.update_params(**arguments)
    CLOCK.switch = _switch if 0 < arguments["global_step"] % PERIOD < PERIOD - 2 else REAL
    return result
