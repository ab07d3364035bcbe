"""Reads the workload's files."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "reads .*timetrial-data"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        for path in Path("DATA").rglob("*.npy"):
            try:
                path.read_bytes()
            except OSError:
                pass
    return honest.update_params(**arguments)
