"""Has the import system make code of its text, under the name of a library's file."""

from importlib.machinery import SourceFileLoader

import honest_torch as honest
from honest_torch import *

CAUGHT = "makes code at run time"
SOURCE = """
def look():
    import sys
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "clock"):
        frame = frame.f_back
    frame.f_locals["self"].clock._wall["step"] = 0.0
"""


class Loader(SourceFileLoader):
    def get_data(self, path):
        return SOURCE.encode()


def _look():
    pass


def update_params(**arguments):
    if arguments["global_step"] == 3:
        code = Loader("look", honest.torch.__file__ + ".look").get_code("look")
        _look.__code__ = next(each for each in code.co_consts if hasattr(each, "co_code"))
        _look()
    return honest.update_params(**arguments)
