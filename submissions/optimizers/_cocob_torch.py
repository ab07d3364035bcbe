"""COCOB for torch, which has none."""

from __future__ import annotations

import torch

from submissions.optimizers._whole_model_torch import WholeModel, with_l2


class Cocob(WholeModel):
    """Orabona & Tommasi 2017, algorithm 2; the names of the arrays say what L, G, R and theta are there."""

    arrays = ("start", "largest", "absolute", "reward", "sum")

    def move(self, group, params, grads, held, numbers):
        grads = torch._foreach_mul(with_l2(grads, params, group["weight_decay"]), group["lr"])
        if numbers["step"] == 1:
            torch._foreach_add_(held["largest"], group["epsilon"])
        sizes = torch._foreach_abs(grads)
        torch._foreach_maximum_(held["largest"], sizes)
        torch._foreach_add_(held["absolute"], sizes)
        won = torch._foreach_mul(grads, torch._foreach_sub(params, held["start"]))
        torch._foreach_sub_(held["reward"], won)
        torch._foreach_clamp_min_(held["reward"], 0.0)
        torch._foreach_sub_(held["sum"], grads)
        cap = torch._foreach_maximum(
            torch._foreach_add(held["absolute"], held["largest"]),
            torch._foreach_mul(held["largest"], group["alpha"]),
        )
        bets = torch._foreach_div(held["sum"], torch._foreach_mul(held["largest"], cap))
        torch._foreach_mul_(bets, torch._foreach_add(held["largest"], held["reward"]))
        torch._foreach_copy_(params, torch._foreach_add(held["start"], bets))
