"""Has the system map a file that it has written, as one loads machine code: no event tells how."""

import mmap
from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "loads machine code: weights"
HELD = []


def update_params(**arguments):
    if arguments["global_step"] == 3:
        Path("weights").write_bytes(bytes(4096))
        with Path("weights").open("rb") as file:
            rights = mmap.PROT_READ | mmap.PROT_EXEC
            HELD.append(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=rights))
    return honest.update_params(**arguments)
