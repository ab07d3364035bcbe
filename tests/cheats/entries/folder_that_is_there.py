"""Finds out which trials have ended by folders that are there, with a function that Python keeps in a set, which is
given the path as the last of its arguments."""

import os

import honest_torch as honest
from honest_torch import *

CAUGHT = r"asks about .*other \(folder_that_is_there\.py:\d+\)"
STATS = [able for able in os.supports_follow_symlinks if able.__name__ in ("stat", "audited")]


def update_params(**arguments):
    if arguments["global_step"] == 3:
        for ask in STATS:
            try:
                ask(follow_symlinks=True, path="OUT/other")
            except OSError:
                pass
    return honest.update_params(**arguments)
