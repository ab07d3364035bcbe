"""Torch optimizers whose step depends on numbers of the whole model, such as its distance from where it started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch

Tensors = Sequence[torch.Tensor]


class WholeModel(torch.optim.Optimizer):
    """One group of parameters, arrays beside each of them, and numbers that they share.

    A subclass names its ``arrays`` (they start at zero; ``start`` is a copy of the parameters), says in ``begin`` what
    its numbers are, and moves the parameters in ``move``. The numbers are 0-dimensional tensors on the parameters'
    device, so that no step waits for it; they are kept in the first parameter's state, with the count of steps.

    Args:
      params: tensors.
      lr: what the step that the method finds is multiplied by.
      settings: further hyperparameters.
    """

    arrays: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[torch.Tensor], lr: float, **settings: Any) -> None:
        super().__init__(list(params), {"lr": lr, **settings})

    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        """The numbers before the first step."""
        return {}

    def move(
        self,
        group: dict[str, Any],
        params: Tensors,
        grads: Tensors,
        held: dict[str, list[torch.Tensor]],
        numbers: dict[str, Any],
    ) -> None:
        """One step in place: of ``params``, of the arrays in ``held`` and of ``numbers``; its ``step`` counts
        from 1, and ``loss`` is the batch's, where the step was given it."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, loss: torch.Tensor | None = None) -> None:
        (group,) = self.param_groups
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        if not self.state:
            self._begin(group)
        numbers = self.state[group["params"][0]]["numbers"]
        numbers["step"] += 1
        if loss is not None:
            numbers["loss"] = loss
        held = {name: [self.state[p][name] for p in params] for name in self.arrays}
        self.move(group, params, [p.grad for p in params], held, numbers)

    def _begin(self, group: dict[str, Any]) -> None:
        for p in group["params"]:
            for name in self.arrays:
                kept = p.detach().clone() if name == "start" else torch.zeros_like(p)
                self.state[p][name] = kept
        self.state[group["params"][0]]["numbers"] = {"step": 0, **self.begin(group, group["params"])}


def number(value: float, params: Tensors) -> torch.Tensor:
    """A number beside the parameters: their type and device."""
    return torch.tensor(value, dtype=params[0].dtype, device=params[0].device)


def norm(tensors: Tensors) -> torch.Tensor:
    """Euclidean norm of all entries together."""
    return torch.stack(torch._foreach_norm(tensors)).norm()


def total(tensors: Tensors) -> torch.Tensor:
    return torch.stack([t.sum() for t in tensors]).sum()


def dot(a: Tensors, b: Tensors) -> torch.Tensor:
    return total(torch._foreach_mul(a, b))


def with_l2(grads: Tensors, params: Tensors, weight_decay: float) -> Tensors:
    """Gradients of the loss with ``weight_decay / 2`` times the squared norm of the parameters added."""
    return torch._foreach_add(grads, params, alpha=weight_decay) if weight_decay else grads


def lerp(averages: list[torch.Tensor], values: Tensors, beta: float) -> None:
    """``averages = beta averages + (1 - beta) values``, in place."""
    torch._foreach_mul_(averages, beta)
    torch._foreach_add_(averages, values, alpha=1 - beta)


def lerp_squares(averages: list[torch.Tensor], values: Tensors, beta: float) -> None:
    """``averages = beta averages + (1 - beta) values^2``, in place."""
    torch._foreach_mul_(averages, beta)
    torch._foreach_addcmul_(averages, values, values, value=1 - beta)


def root(squares: Tensors, epsilon: float | torch.Tensor) -> list[torch.Tensor]:
    """``sqrt(squares) + epsilon``."""
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, epsilon)
    return list(roots)


def descend(params: Tensors, directions: Tensors, rate: torch.Tensor) -> None:
    torch._foreach_sub_(params, torch._foreach_mul(directions, rate))
