"""Hooks itself in as the handler of a signal, by an object that equals whatever it is compared with."""

import signal

import honest_torch as honest
from honest_torch import *

CAUGHT = "has set a signal handler"


class Equal:
    def __call__(self, *_):
        pass

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __hash__(self):
        return 0


def update_params(**arguments):
    if arguments["global_step"] == 3:
        signal.signal(signal.SIGUSR1, Equal())
    return honest.update_params(**arguments)
