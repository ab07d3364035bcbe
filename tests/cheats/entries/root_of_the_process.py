"""Reads the workload's files through the process's own root, where they stay open to the harness."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "reads "


def update_params(**arguments):
    if arguments["global_step"] == 3:
        folder = Path("/proc/self/root" + "DATA")
        for path in folder.rglob("*.npy"):
            path.read_bytes()
    return honest.update_params(**arguments)
