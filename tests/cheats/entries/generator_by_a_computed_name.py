"""Imports the generator by a name that no import statement shows."""

import importlib

import honest_torch as honest
from honest_torch import *

CAUGHT = "imports workloads.mnist.generator"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        name = ".".join(["workloads", "mnist", "generator"])
        assert importlib.import_module(name).generate
    return honest.update_params(**arguments)
