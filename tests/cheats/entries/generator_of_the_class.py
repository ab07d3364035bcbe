"""Makes the validation data with the workload's own generator."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "generates the workload's data"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        workload = sys.modules["workloads.mnist.workload"].WORKLOAD()
        assert len(workload.generate()["validation"]["targets"]) == 2000
    return honest.update_params(**arguments)
