"""Loads a file of its own as a compiled model of torch's, of which Python tells by no event."""

from pathlib import Path

import honest_torch as honest
import torch
from honest_torch import *

CAUGHT = "loads machine code: weights"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        Path("weights").write_bytes(bytes(64))
        try:
            torch._C._aoti.AOTIModelContainerRunnerCpu("./weights", 1)
        except RuntimeError:
            pass
    return honest.update_params(**arguments)
