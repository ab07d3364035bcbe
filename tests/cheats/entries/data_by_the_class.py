"""The same through the workload's class."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "loads the split 'test'|reads "


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            sys.modules["workloads.mnist.workload"].WORKLOAD().load_split("test")
        except OSError:
            pass
    return honest.update_params(**arguments)
