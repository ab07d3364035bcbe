"""Has the garbage collection call a library's function, which calls a handler of the entry's."""

import gc
import logging

import honest_torch as honest
from honest_torch import *

CAUGHT = "has hooked itself into the garbage collection"


class Handler(logging.Handler):
    def emit(self, record):
        pass


def update_params(**arguments):
    if arguments["global_step"] == 3:
        logging.getLogger().addHandler(Handler())
        logging.getLogger().setLevel(logging.DEBUG)
        gc.callbacks.append(logging.info)
    return honest.update_params(**arguments)
