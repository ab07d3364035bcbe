"""Has the target met after another CPU time than it was."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = r"replaces harness\.trial\.Crossing\.__init__|replaces results\.record\.Crossing"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        kind = sys.modules["results.record"].Crossing
        begin = kind.__init__
        kind.__init__ = lambda self, **given: begin(self, **{**given, "cpu": 0.01, "previous_cpu": 0.0})
    return honest.update_params(**arguments)
