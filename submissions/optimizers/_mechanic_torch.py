"""Mechanic for torch: learns how far to go along the sum of another optimizer's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from submissions.optimizers._whole_model_torch import Tensors, WholeModel, dot, norm, number

MEMORIES = 6
"""The scale is a sum of as many learners, which forget with 1 - 0.1, 1 - 0.01, ...; optax's and the paper's number."""


class Mechanic(WholeModel):
    """Cutkosky et al. 2023, with the clipping that its authors added in optax.

    Args:
      inner: the optimizer, of the same parameters, whose steps are scaled.
      lr: the inner optimizer's learning rate.
      settings: ``scale_decay``, ``initial_scale`` and ``scale_epsilon``, as in ``submissions.optimizers.mechanic``.
    """

    arrays = ("start",)

    def __init__(self, inner: torch.optim.Optimizer, lr: float, **settings: float) -> None:
        super().__init__((p for group in inner.param_groups for p in group["params"]), lr, **settings)
        self.inner = inner

    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        zeros = number(0.0, params).expand(MEMORIES)
        return {
            "reward": zeros.clone(),
            "largest": zeros.clone(),
            "squares": zeros.clone(),
            "scale": zeros + group["initial_scale"],
        }

    def move(self, group, params, grads, held, numbers):
        epsilon, scale = group["scale_epsilon"], numbers["scale"].sum()
        pull = group["scale_decay"] * scale * norm(grads) / (norm(params) + epsilon)
        grads = torch._foreach_add(grads, torch._foreach_mul(params, pull))
        sums = torch._foreach_sub(params, held["start"])
        torch._foreach_div_(sums, scale + epsilon)
        before = torch._foreach_neg(sums)
        new_scale = self._learn(group, numbers, dot(grads, before))
        torch._foreach_add_(sums, self._inner_steps(group, params))
        torch._foreach_mul_(sums, new_scale)
        torch._foreach_copy_(params, torch._foreach_add(held["start"], sums))

    def _inner_steps(self, group: dict[str, Any], params: Tensors) -> Tensors:
        """What the inner optimizer adds to the parameters; they move by it."""
        for own in self.inner.param_groups:
            own["lr"] = group["lr"]
        old = torch._foreach_clone(params)
        self.inner.step()
        return torch._foreach_sub(params, old)

    @staticmethod
    def _learn(group: dict[str, Any], numbers: dict[str, Any], gain: torch.Tensor) -> torch.Tensor:
        """The new scale, after the derivative of the loss by it is known."""
        epsilon, largest = group["scale_epsilon"], numbers["largest"]
        betas = 1 - 0.1 ** torch.arange(1, MEMORIES + 1, dtype=gain.dtype, device=gain.device)
        clipped = torch.clamp(gain.expand(MEMORIES), -largest, largest)
        numbers["largest"] = torch.maximum(betas * largest, gain.abs() + epsilon)
        numbers["squares"] = betas**2 * numbers["squares"] + gain**2
        numbers["reward"] = betas * numbers["reward"] + clipped * numbers["scale"]
        wealth = group["initial_scale"] / MEMORIES * numbers["largest"] + numbers["reward"].clamp_min(0.0)
        numbers["scale"] = wealth / (numbers["squares"].sqrt() + epsilon)
        return numbers["scale"].sum()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "inner": self.inner}

    def state_dict(self) -> dict[str, Any]:
        return {"mechanic": super().state_dict(), "inner": self.inner.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict["mechanic"])
        self.inner.load_state_dict(state_dict["inner"])
