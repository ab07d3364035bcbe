"""Replaces the function by which the watch finds out whose doing an event is, for as long as it takes."""

import gc
import sys
import types

import torch
from honest_torch import *

CAUGHT = "looks for objects of other code"
CODE = types.SimpleNamespace(co_filename="/usr/lib/python3/os.py", co_name="f")
NOBODY = types.SimpleNamespace(f_code=CODE, f_back=None, f_lineno=1)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    real, sys._getframe = sys._getframe, lambda *_: NOBODY
    assert gc.get_objects()
    sys._getframe = real
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-2)}
