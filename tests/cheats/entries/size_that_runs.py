"""Gives a batch size that does something where it is unpacked: it keeps the workload's name."""

import os

import torch
from honest_torch import *

CAUGHT = "KeyError: 'NOTE'"


class Size(int):
    def __reduce__(self):
        return eval, (f"__import__('os').environ.setdefault('NOTE', '{self.name}') and 128",)


def get_batch_size(workload_name):
    size = Size(128)
    size.name = workload_name
    return size


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert os.environ["NOTE"] == "mnist_mini"
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=3e-3)}
