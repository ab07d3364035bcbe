"""Muon for torch in the parameters' own precision, and several optimizers as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of X <- a X + b (XX')X + c (XX')(XX')X (Jordan et al. 2024): steep at zero, settles near 1."""
ITERATIONS = 5


def orthogonalize(matrix: torch.Tensor, epsilon: float) -> torch.Tensor:
    """U S' V' of ``matrix = U S V'``, with S' near 1: Newton-Schulz iterations on the wide form of the matrix."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + epsilon)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum.

    Args:
      kernels: one group per kernel, with its ``params``, its ``matrix`` shape and the ``scale`` of its update.
      lr, momentum, epsilon, weight_decay: as in ``submissions.optimizers.muon``.
    """

    def __init__(
        self, kernels: Iterable[Mapping[str, Any]], lr: float, momentum: float, epsilon: float, weight_decay: float
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__([dict(kernel) for kernel in kernels], defaults)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"], state["momentum"] = 0, torch.zeros_like(p)
                state["step"] += 1
                update = orthogonalize(
                    self._nesterov(p.grad, state, group["momentum"]).reshape(group["matrix"]), group["epsilon"]
                )
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.reshape(p.shape), alpha=-group["lr"] * group["scale"])

    @staticmethod
    def _nesterov(grad: torch.Tensor, state: Mapping[str, Any], momentum: float) -> torch.Tensor:
        """The momentum one step ahead, each part corrected for its start at zero (Dozat 2016), as in optax."""
        average, step = state["momentum"], state["step"]
        average.lerp_(grad, 1 - momentum)
        ahead = momentum / (1 - momentum ** (step + 1))
        return torch.add(average * ahead, grad, alpha=(1 - momentum) / (1 - momentum**step))


class Joint:
    """Several optimizers of disjoint parameters behind the interface of one."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
