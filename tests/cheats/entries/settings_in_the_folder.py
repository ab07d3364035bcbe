"""Tells the name that get_batch_size is given by a file that a library reads where it is imported."""

from pathlib import Path

import matplotlib
import torch
from honest_torch import *

CAUGHT = "AssertionError"


def get_batch_size(workload_name):
    Path("matplotlibrc").write_text(f"font.family: {workload_name}\n")
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert matplotlib.rcParams["font.family"] == ["mnist_mini"]
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
