"""Would work while the machine's speed is measured, by a function of numpy's that puts itself back."""

import time

import numpy as np
from honest_torch import *

CAUGHT = "replaces numpy.copyto"
REAL = np.copyto


def _copyto(*given, **named):
    np.copyto = REAL
    until = time.process_time() + 6.0
    while time.process_time() < until:
        pass  # whatever it likes
    return REAL(*given, **named)


np.copyto = _copyto
