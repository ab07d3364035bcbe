"""Looks at the results of other trials."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "reads .*trial.json"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            Path("OUT/other/trial.json").read_text()
        except OSError:
            pass
    return honest.update_params(**arguments)
