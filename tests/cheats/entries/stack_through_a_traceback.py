"""The same through an exception of its own."""

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            raise KeyError
        except KeyError as error:
            frame = error.__traceback__.tb_frame
        while not hasattr(frame.f_locals.get("self"), "clock"):
            frame = frame.f_back
        frame.f_locals["self"].clock._wall["step"] = 0.0
    return honest.update_params(**arguments)
