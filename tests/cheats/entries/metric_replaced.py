"""Replaces the metric of the workload's class."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = "adds Mnist.evaluate|kept parameters that reach accuracy"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        sys.modules["workloads.mnist.workload"].WORKLOAD.evaluate = lambda self, batches: {"accuracy": 1.0, "loss": 0.0}
    return honest.update_params(**arguments)
