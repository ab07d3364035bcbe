"""Replaces the framework's evaluation."""

import sys

import honest_jax as honest
from honest_jax import *

CAUGHT = "replaces harness.frameworks.jax.JaxBackend.evaluated"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        sys.modules["harness.frameworks.jax"].JaxBackend.evaluated = lambda *_: iter(())
    return honest.update_params(**arguments)
