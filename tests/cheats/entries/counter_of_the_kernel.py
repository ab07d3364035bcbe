"""Finds in a counter of the kernel what an earlier trial has put there by having it count."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "reads /proc/vmstat"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        for name in ("proc/vmstat", "proc/stat", "sys/devices/system/node/node0/vmstat", "dev/kmsg"):
            try:
                Path(f"/{name}").open("rb").close()
            except (PermissionError, FileNotFoundError):
                continue
            raise RuntimeError("what counts for all is closed")
    return honest.update_params(**arguments)
