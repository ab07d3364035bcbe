"""Recipes as torch optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from harness.spec import Parameter
from submissions.arrays import namespace
from submissions.kernels import from_torch_matrix, to_torch_matrix
from submissions.recipes import At, Recipe


def optimizer(
    recipe: Recipe,
    parameters: Sequence[tuple[Parameter, torch.Tensor]],
    learning_rate: float,
    weight_decay: float,
    settings: Mapping[str, Any],
) -> RecipeOptimizer:
    return RecipeOptimizer(recipe, parameters, learning_rate, weight_decay, settings)


class RecipeOptimizer(torch.optim.Optimizer):
    """A recipe for given parameters. A parameter without a gradient counts as one with gradient zero."""

    def __init__(
        self,
        recipe: Recipe,
        parameters: Sequence[tuple[Parameter, torch.Tensor]],
        lr: float,
        weight_decay: float,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__([t for _, t in parameters], {"lr": lr, "weight_decay": weight_decay, "steps": 0})
        self.recipe, self.settings, self.declared = recipe, dict(settings), [p for p, _ in parameters]

    def __getstate__(self) -> dict[str, Any]:
        own = {"recipe": self.recipe, "settings": self.settings, "declared": self.declared}
        return super().__getstate__() | own

    @torch.no_grad()
    def step(self) -> None:
        (group,) = self.param_groups
        params, rate = group["params"], group["lr"]
        group["steps"] += 1
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        change = self._of_all if self.recipe.layout == "vector" else self._of_each
        changes = change(params, gradients, group["steps"], rate)
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - rate * group["weight_decay"])
        torch._foreach_sub_(params, changes)

    def _of_all(
        self, params: list[torch.Tensor], gradients: list[torch.Tensor], step: int, rate: float
    ) -> list[torch.Tensor]:
        """Changes of all parameters by one update of one vector."""
        gradient = torch.cat([g.reshape(-1) for g in gradients])
        change = self._updated(params[0], gradient, gradient, At(step, rate))
        parts = change.split([p.numel() for p in params])
        return [part.view_as(p) for part, p in zip(parts, params, strict=True)]

    def _of_each(
        self, params: list[torch.Tensor], gradients: list[torch.Tensor], step: int, rate: float
    ) -> list[torch.Tensor]:
        if self.recipe.layout == "array":
            return [
                self._updated(p, p, g, At(step, rate, p, d))
                for p, g, d in zip(params, gradients, self.declared, strict=True)
            ]
        changes = []
        for p, g, declared in zip(params, gradients, self.declared, strict=True):
            value = to_torch_matrix(declared, p)
            change = self._updated(p, value, to_torch_matrix(declared, g), At(step, rate, value, declared))
            changes.append(from_torch_matrix(declared, change, p.shape))
        return changes

    def _updated(self, key: torch.Tensor, like: torch.Tensor, gradient: torch.Tensor, at: At) -> torch.Tensor:
        """The change of an array whose state is held under ``key``, where the new state is left."""
        xp = namespace("torch")
        state = self.state[key] or self.recipe.start(xp, like, at.parameter, **self.settings)
        change, self.state[key] = self.recipe.update(xp, gradient, state, at, **self.settings)
        return change
