"""Leaves what it learned where the next trial finds it."""

from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "writes /tmp/learned|writes /var/tmp/learned"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            Path("/tmp/learned").write_text("0.001")
        except OSError:
            pass
    return honest.update_params(**arguments)
