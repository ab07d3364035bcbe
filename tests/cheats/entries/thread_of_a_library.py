"""Trains in a thread that a library has started for it, while it is evaluated too."""

import asyncio
import time

import honest_torch as honest
from fsspec.asyn import get_loop
from honest_torch import *

CAUGHT = "works beside the clock"
STARTED = []


async def _work():
    began = time.monotonic()
    while time.monotonic() - began < 20:
        sum(range(1000))


def update_params(**arguments):
    if arguments["global_step"] == 3:
        STARTED.append(asyncio.run_coroutine_threadsafe(_work(), get_loop()))
    return honest.update_params(**arguments)
