"""Decoupled weight decay for torch's SGD, whose own goes through the momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class DecayedSGD(torch.optim.SGD):
    """SGD that multiplies every parameter by ``1 - lr * decay`` before each step (arXiv 1711.05101)."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float, momentum: float, decay: float, **other: Any) -> None:
        super().__init__(params, lr, momentum, **other)
        for group in self.param_groups:
            group["decay"] = decay

    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            if group["decay"]:
                with torch.no_grad():
                    torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decay"])
        super().step(closure)
