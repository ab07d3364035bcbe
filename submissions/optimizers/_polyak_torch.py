"""MoMo and MoMo-Adam for torch: a truncated Polyak step along a momentum, from an average model of the loss."""

from __future__ import annotations

from typing import Any

import torch

from submissions.optimizers._whole_model_torch import (
    Tensors,
    WholeModel,
    descend,
    dot,
    lerp,
    lerp_squares,
    number,
    root,
)

NO_DIRECTION = torch.finfo(torch.float64).eps
"""Squared norm of the direction below which no step is taken, as in optax."""


class _Polyak(WholeModel):
    """Averages of the losses, of the gradients and of their products with the parameters, by ``beta``."""

    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        return {"mean_loss": number(0.0, params), "product": number(0.0, params)}

    def average(self, beta, params, grads, held, numbers):
        lerp(held["mean"], grads, beta)
        numbers["mean_loss"] = beta * numbers["mean_loss"] + (1 - beta) * numbers["loss"]
        numbers["product"] = beta * numbers["product"] + (1 - beta) * dot(grads, params)

    @staticmethod
    def go(group, params, directions, held, numbers, mass, cap):
        """Schaipp et al. 2024: the smaller of ``cap`` and the step to where the model of the loss
        meets the lower bound; ``mass`` is the sum of the averages' weights."""
        shrink = 1 + group["lr"] * group["weight_decay"]
        square = dot(held["mean"], directions)
        excess = numbers["mean_loss"] - mass * group["lower_bound"] - numbers["product"]
        polyak = (shrink * excess + dot(held["mean"], params)).clamp_min(0.0) / square
        rate = torch.where(square <= NO_DIRECTION, 0.0, polyak.clamp_max(cap))
        if group["weight_decay"]:
            torch._foreach_div_(params, shrink)
        descend(params, directions, rate)


class Momo(_Polyak):
    """Along the average gradient; the averages start at the first loss and gradient."""

    arrays = ("mean",)

    def move(self, group, params, grads, held, numbers):
        beta = group["beta"] if numbers["step"] > 1 else 0.0
        self.average(beta, params, grads, held, numbers)
        self.go(group, params, held["mean"], held, numbers, mass=1.0, cap=group["lr"])


class MomoAdam(_Polyak):
    """Along Adam's direction; the averages start at zero."""

    arrays = ("mean", "square")

    def move(self, group, params, grads, held, numbers):
        self.average(group["beta1"], params, grads, held, numbers)
        lerp_squares(held["square"], grads, group["beta2"])
        squares = torch._foreach_div(held["square"], 1 - group["beta2"] ** numbers["step"])
        directions = torch._foreach_div(held["mean"], root(squares, group["epsilon"]))
        mass = 1 - group["beta1"] ** numbers["step"]
        self.go(group, params, directions, held, numbers, mass, cap=group["lr"] / mass)
