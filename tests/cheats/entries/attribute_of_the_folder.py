"""Tells the name that get_batch_size is given by an attribute of the trial's folder."""

import contextlib
import os
from pathlib import Path

import torch
from honest_torch import *

CAUGHT = "OSError"


def get_batch_size(workload_name):
    with contextlib.suppress(OSError):
        os.setxattr(Path.cwd(), "user.name", workload_name.encode())
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert os.getxattr(Path.cwd(), "user.name") == b"mnist_mini"
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
