"""Has its own function called whenever the harness calls one."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "traces other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        sys.setprofile(lambda *_: None)
    return honest.update_params(**arguments)
