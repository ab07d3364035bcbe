"""Takes the test split out of the cache, past the workload."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "loads the split 'test'"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            sys.modules["workloads.cache"].Cache(".", "mnist", 2, {}).load("test", dict)
        except (OSError, RuntimeError, ValueError):
            pass
    return honest.update_params(**arguments)
