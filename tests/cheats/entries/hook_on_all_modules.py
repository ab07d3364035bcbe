"""Keeps what a hook on every module of the process sees."""

import torch
from honest_torch import *

CAUGHT = "changes torch's global_forward_pre_hooks"
SEEN = []

torch.nn.modules.module.register_module_forward_pre_hook(lambda module, inputs: SEEN.append(inputs))
