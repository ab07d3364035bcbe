"""SAM for torch: an optimizer that asks for a second gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from submissions.optimizers.sam import TINY


class SamAdamW(torch.optim.AdamW):
    """AdamW with gradients taken at ``rho`` along the gradient (Foret et al. 2021, algorithm 1)."""

    def __init__(self, params: Any, rho: float, **of_adamw: Any) -> None:
        super().__init__(params, **of_adamw)
        for group in self.param_groups:
            group["rho"] = rho

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> None:
        """``closure`` takes the gradient again, where the parameters are then."""
        (group,) = self.param_groups
        moved = [p for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in moved]
        before = [p.clone() for p in moved]
        scale = group["rho"] / (torch.nn.utils.get_total_norm(gradients) + TINY)
        torch._foreach_add_(moved, torch._foreach_mul(gradients, scale))
        with torch.enable_grad():
            closure()
        torch._foreach_copy_(moved, before)
        super().step()
