"""Has the server that forks trials start a process outside of its confinement."""

import socket
from pathlib import Path

import honest_torch as honest
from honest_torch import *

CAUGHT = "opens a network connection"


def update_params(**arguments):
    if arguments["global_step"] == 3:
        listening = [
            line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "listener-" in line
        ]
        with socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect((listening or ["/nowhere"])[-1])
            except OSError:
                pass
    return honest.update_params(**arguments)
