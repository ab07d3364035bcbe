"""Decoupled weight decay for torch optimizers that have none."""

from __future__ import annotations

import torch


def decay_before_step(optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Multiplies every parameter by ``1 - learning rate * weight_decay`` before each step (arXiv 1711.05101)."""

    @torch.no_grad()
    def decay(optimizer: torch.optim.Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            torch._foreach_mul_(group["params"], 1 - group["lr"] * weight_decay)

    optimizer.register_step_pre_hook(decay)
