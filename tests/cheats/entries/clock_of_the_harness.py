"""Replaces the harness's sum of timed segments."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "replaces harness.clock.Clock.submission_time"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        sys.modules["harness.clock"].Clock.submission_time = lambda self: 0.0
    return honest.update_params(**arguments)
