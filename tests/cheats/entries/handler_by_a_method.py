"""Has a method of a library's class handle a signal, and that call its own."""

import contextlib
import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "has set a signal handler"
STACK = contextlib.ExitStack()


def update_params(**arguments):
    if arguments["global_step"] == 3:
        STACK.push(lambda *_: None)
        signal.signal(signal.SIGCONT, contextlib.ExitStack.__exit__.__get__(STACK))
    return honest.update_params(**arguments)
