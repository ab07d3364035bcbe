"""Asks how large another trial's record is, without opening it: the length of what that one said is a number."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = r"asks about .*trial\.json \(size_of_another_record\.py:\d+\)"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            os.path.getsize("OUT/other/trial.json")  # noqa: PTH202
        except OSError:
            pass
    return honest.update_params(**arguments)
