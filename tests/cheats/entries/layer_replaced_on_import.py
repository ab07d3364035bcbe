"""Replaces a function of torch before the harness looks, and keeps the validation data that pass."""

import torch
from honest_torch import *

CAUGHT = "replaces torch.nn.functional.linear"
REAL, SEEN = torch.nn.functional.linear, []


def _spy(inputs, *given, **named):
    if not torch.is_grad_enabled():
        SEEN.append(inputs)
    return REAL(inputs, *given, **named)


torch.nn.functional.linear = _spy
