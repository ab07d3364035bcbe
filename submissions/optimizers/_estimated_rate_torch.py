"""D-Adaptation and Prodigy for torch: Adam times a growing lower bound ``d`` of the distance to the solution."""

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
    total,
)


class _EstimatedRate(WholeModel):
    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        return {"d": number(group["initial_rate"], params), "numerator": number(0.0, params)}

    @staticmethod
    def rate(group: dict[str, Any], numbers: dict[str, Any]) -> torch.Tensor:
        """``d`` times the learning rate, corrected for the start of both of Adam's averages at zero."""
        step = numbers["step"]
        return numbers["d"] * (group["lr"] * (1 - group["beta2"] ** step) ** 0.5 / (1 - group["beta1"] ** step))

    @staticmethod
    def grow(numbers: dict[str, Any], estimate: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        """Raises ``d`` to the estimate and returns 1; keeps it and returns 0 where no gradient has had a weight so far:
        the estimate is 0 / 0 there, and no step can be taken."""
        some = size != 0
        numbers["d"] = torch.where(some, torch.maximum(numbers["d"], estimate), numbers["d"])
        return some.to(size.dtype)


class DAdaptAdam(_EstimatedRate):
    """Defazio & Mishchenko 2023, the Adam form with decoupled weight decay."""

    arrays = ("mean", "square", "sum")

    def move(self, group, params, grads, held, numbers):
        epsilon, slow, rate = group["epsilon"], group["beta2"] ** 0.5, self.rate(group, numbers)
        gain = dot(grads, torch._foreach_div(held["sum"], root(held["square"], epsilon)))
        weighted = torch._foreach_mul(grads, rate)
        lerp(held["mean"], weighted, group["beta1"])
        lerp_squares(held["square"], grads, group["beta2"])
        lerp(held["sum"], weighted, slow)
        size = total(torch._foreach_abs(held["sum"]))
        numbers["numerator"] = slow * numbers["numerator"] + (1 - slow) * rate * gain
        ready = self.grow(numbers, numbers["numerator"] / ((1 - slow) * size), size)
        steps = torch._foreach_div(held["mean"], root(held["square"], epsilon))
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - ready * group["weight_decay"] * rate)
        descend(params, steps, ready)


class Prodigy(_EstimatedRate):
    """Mishchenko & Defazio 2024, the Adam form with decoupled weight decay.

    As in the authors' code, sums are in units of the first ``d``, and a step has the rate from before its estimate.
    """

    arrays = ("start", "mean", "square", "sum")

    def move(self, group, params, grads, held, numbers):
        slow, rate, d = group["beta2"] ** 0.5, self.rate(group, numbers), numbers["d"]
        relative = d / group["initial_rate"]
        gain = dot(grads, torch._foreach_sub(held["start"], params))
        weighted = torch._foreach_mul(grads, d)
        lerp(held["mean"], weighted, group["beta1"])
        lerp_squares(held["square"], weighted, group["beta2"])
        torch._foreach_mul_(held["sum"], slow)
        torch._foreach_add_(held["sum"], torch._foreach_mul(weighted, rate / group["initial_rate"]))
        size = total(torch._foreach_abs(held["sum"]))
        numbers["numerator"] = slow * numbers["numerator"] + relative * rate * gain
        ready = self.grow(numbers, group["growth"] * numbers["numerator"] / size, size)
        steps = torch._foreach_div(held["mean"], root(held["square"], numbers["d"] * group["epsilon"]))
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - ready * group["weight_decay"] * rate)
        torch._foreach_sub_(params, torch._foreach_mul(steps, ready * rate))
