"""Tells the name that get_batch_size is given by how readily the system kills the process that asks."""

import contextlib
import os
from pathlib import Path

import torch
from honest_torch import *

CAUGHT = r"writes /proc/\d+/task/\d+/oom_score_adj"


def get_batch_size(workload_name):
    above = os.getppid()
    with contextlib.suppress(OSError):
        Path(f"/proc/{above}/task/{above}/oom_score_adj").write_text(str(300 + len(workload_name)))
    return 128


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert int(Path("/proc/self/oom_score_adj").read_text()) == 300 + len("mnist_mini")
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
