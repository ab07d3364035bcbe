"""DoG and DoWG for torch: the step is the distance from the start over a norm of the gradients seen so far."""

from __future__ import annotations

from typing import Any

import torch

from submissions.optimizers._whole_model_torch import Tensors, WholeModel, descend, norm, number, with_l2


class DoWG(WholeModel):
    """Khaled et al. 2023, algorithm 1; ``epsilon`` is also the first guess of the squared distance, as in optax."""

    arrays = ("start",)

    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        return {"square_distance": number(group["epsilon"], params), "weighted": number(0.0, params)}

    def move(self, group, params, grads, held, numbers):
        grads = with_l2(grads, params, group["weight_decay"])
        moved = norm(torch._foreach_sub(held["start"], params)) ** 2
        square = numbers["square_distance"] = torch.maximum(numbers["square_distance"], moved)
        numbers["weighted"] = numbers["weighted"] + square * norm(grads) ** 2
        descend(params, grads, group["lr"] * square / (numbers["weighted"].sqrt() + group["epsilon"]))


class DoG(WholeModel):
    """Ivgi et al. 2023."""

    arrays = ("start",)

    def begin(self, group: dict[str, Any], params: Tensors) -> dict[str, torch.Tensor]:
        return {"distance": group["relative_start"] * (1 + norm(params)), "squares": number(0.0, params)}

    def move(self, group, params, grads, held, numbers):
        grads = with_l2(grads, params, group["weight_decay"])
        moved = norm(torch._foreach_sub(held["start"], params))
        numbers["distance"] = torch.maximum(numbers["distance"], moved)
        numbers["squares"] = numbers["squares"] + norm(grads) ** 2
        descend(params, grads, group["lr"] * numbers["distance"] / (numbers["squares"] + group["epsilon"]).sqrt())
