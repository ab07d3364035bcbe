"""Learns the workload's name, and reads its validation data, through the files that are open in its process."""

import os
from pathlib import Path

import torch
from honest_torch import *

CAUGHT = "StopIteration"


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    paths = [path for path in list(Path("/proc/self/fd").iterdir()) if path.exists()]
    opened = {int(path.name): path.readlink().name for path in paths}
    number = next(number for number, name in opened.items() if name.endswith("_inputs.npy"))
    assert os.pread(number, 2**20, 0)
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=1e-2)}
