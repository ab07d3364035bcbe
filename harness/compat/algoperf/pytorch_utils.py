"""``algoperf.pytorch_utils``: one process, on the GPU where there is one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(whether several processes share the work, this one's rank, its device, how many GPUs there are)."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    return False, 0, device, torch.cuda.device_count()


def pytorch_init(use_pytorch_ddp: bool, rank: int, profiler: Any = None) -> None:
    """Nothing to do: the harness has set the process up."""


def sync_ddp_time(time: float, device: torch.device) -> float:
    """The latest of all processes' times, which is the only one's."""
    return time


def update_batch_norm_fn(module: nn.Module, update_batch_norm: bool) -> None:
    """For ``model.apply``: stops a batch normalisation's running statistics, or lets them go on."""
    if not isinstance(module, nn.modules.batchnorm._BatchNorm):
        return
    if not update_batch_norm:
        if not hasattr(module, "momentum_backup"):
            module.momentum_backup = module.momentum  # type: ignore[assignment]
        module.momentum = 0.0
    elif hasattr(module, "momentum_backup"):
        module.momentum = module.momentum_backup  # type: ignore[assignment]


class CustomDropout(nn.Module):
    """Dropout whose rate is an argument of ``forward``."""

    _supports_custom_dropout = True

    def forward(self, x: torch.Tensor, p: float) -> torch.Tensor:
        return F.dropout(x, p, training=self.training)


class CustomDropout2d(CustomDropout):
    """Drops whole channels; the rate is an argument of ``forward``."""

    def forward(self, x: torch.Tensor, p: float) -> torch.Tensor:
        return F.dropout2d(x, p, training=self.training)


class SequentialWithDropout(nn.Sequential):
    """Modules in order; those that take a dropout rate get it."""

    _supports_custom_dropout = True

    def forward(self, x: torch.Tensor, p: float) -> torch.Tensor:  # type: ignore[override]
        for module in self:
            x = module(x, p) if getattr(module, "_supports_custom_dropout", False) else module(x)
        return x
