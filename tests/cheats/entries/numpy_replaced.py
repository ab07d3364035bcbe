"""Replaces a function of numpy through which batches go."""

import honest_torch as honest
import numpy as np
from honest_torch import *

CAUGHT = r"replaces numpy\.asarray"
REAL, SEEN = np.asarray, []


def _spy(*given, **named):
    SEEN.append(REAL(*given, **named))
    return SEEN[-1]


def update_params(**arguments):
    if arguments["global_step"] == 3:
        np.asarray = _spy
    return honest.update_params(**arguments)
