"""Changes the losses where they are looked up, and keeps the validation data that pass."""

import sys

import honest_torch as honest
from honest_torch import *

CAUGHT = r"replaces harness\.frameworks\.torch\._LOSSES"
SEEN = []


def update_params(**arguments):
    if arguments["global_step"] == 3:
        losses, kind = sys.modules["harness.frameworks.torch"]._LOSSES, arguments["loss_type"]
        real = losses[kind]
        losses[kind] = lambda labels, logits, smoothing: [SEEN.append(labels), real(labels, logits, smoothing)][1]
    return honest.update_params(**arguments)
