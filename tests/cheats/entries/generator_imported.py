"""Generates the test split itself."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "imports workloads.mnist"


def update_params(**arguments):
    from workloads.mnist import workload as other

    KEPT.setdefault("other", other)
    return honest.update_params(**arguments)


KEPT = {}
