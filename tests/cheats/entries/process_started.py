"""Leaves work to another program."""

import subprocess

import honest_torch as honest
from honest_torch import *

CAUGHT = "starts a process"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        subprocess.Popen(["sleep", "60"])
    return honest.update_params(**arguments)
