"""Writes a module into its own folder, which may look at the frames: it is not the entry's file."""

import importlib
import sys
from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "looks at the frames of other code"
SOURCE = """
import sys

def look():
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "clock"):
        frame = frame.f_back
    frame.f_locals["self"].clock._wall["step"] = 0.0
"""


def update_params(**arguments):
    if arguments["global_step"] == 3:
        Path("looking.py").write_text(SOURCE)
        sys.path.insert(0, str(Path.cwd()))
        importlib.import_module("looking").look()
    return honest.update_params(**arguments)
