"""Sets a limit by which the system kills it: a new process rehearses off the clock."""

import resource

import honest_torch as honest
from honest_torch import *

CAUGHT = "has itself killed by a limit of CPU time"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        resource.setrlimit(resource.RLIMIT_CPU, (3000, 3000))
    return honest.update_params(**arguments)
