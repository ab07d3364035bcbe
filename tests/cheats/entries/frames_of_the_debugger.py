"""Has Python's debugger hand it the frames of whoever runs it: the training loop is there, and its clock."""

import bdb

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"
FOUND = []


class Debugger(bdb.Bdb):
    def user_line(self, frame):
        while frame is not None and "self" not in frame.f_locals:
            frame = frame.f_back
        FOUND.append(frame)
        self.set_continue()


def update_params(**arguments):
    if arguments["global_step"] == 5:
        Debugger().set_trace()
    return honest.update_params(**arguments)
