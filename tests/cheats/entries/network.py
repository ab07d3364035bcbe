"""Sends what it learned elsewhere."""

import socket

import honest_torch as honest
from honest_torch import *

CAUGHT = "opens a network connection"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        except OSError:
            pass
    return honest.update_params(**arguments)
