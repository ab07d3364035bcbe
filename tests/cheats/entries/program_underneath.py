"""Starts a program by the function below all of Python's that do, of which no event of Python's own tells."""

import _posixsubprocess
import os

import honest_torch as honest
from honest_torch import *

CAUGHT = "starts a process"


def start(*command):
    reader, writer = os.pipe()
    names = [name.encode() for name in command]
    nowhere = [-1] * 6
    return _posixsubprocess.fork_exec(
        *(names, names[:1], True, (writer,), None, None, *nowhere, reader, writer),
        *(False, False, 0, None, None, None, -1, None, False),
    )


def update_params(**arguments):
    if arguments["global_step"] == 20:
        start("/bin/sh", "-c", "exit 0")
    return honest.update_params(**arguments)
