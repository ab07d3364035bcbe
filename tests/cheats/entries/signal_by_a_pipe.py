"""Has itself killed where its luck is bad, by a signal that comes with what is written into a pipe: it starts over."""

import fcntl
import os
import time

import honest_torch as honest
from honest_torch import *

CAUGHT = "has signals sent by an open file"


def update_params(**arguments):
    if arguments["global_step"] == 240:
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(reader, 10, 9)  # F_SETSIG, SIGKILL
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(writer, b"x")
        time.sleep(5)
    return honest.update_params(**arguments)
