"""``algoperf.interop_utils``: tensors from one framework to the other without a copy, by DLPack."""

from __future__ import annotations

from typing import Any

import jax
import torch


def jax_to_pytorch(x: Any, take_ownership: bool = False) -> torch.Tensor:
    return torch.from_dlpack(x)


def pytorch_to_jax(x: torch.Tensor) -> jax.Array:
    return jax.dlpack.from_dlpack(x.detach().contiguous())
