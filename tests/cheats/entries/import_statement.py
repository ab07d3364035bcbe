"""Works in the import statement, which whoever unpickles or pickles something runs too."""

import builtins

import honest_torch as honest
from honest_torch import *

CAUGHT = r"replaces builtins\.__import__"
REAL = builtins.__import__


def imported(*arguments, **named):
    return REAL(*arguments, **named)


def init_optimizer_state(*arguments):
    builtins.__import__ = imported
    return honest.init_optimizer_state(*arguments)
