"""Writes a result of its own."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "writes .*trial.json"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            Path("OUT/trial.json").write_text("{}")
        except OSError:
            pass
    return honest.update_params(**arguments)
