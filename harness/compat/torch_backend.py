"""torch for AlgoPerf's entries: the model answers to ``.module``, as one wrapped for several processes does."""

from __future__ import annotations

from typing import Any

import torch

from harness.frameworks.torch import TorchBackend
from harness.spec import Workload


class EntryTorchBackend(TorchBackend):
    def init_model(self, workload: Workload, rng: Any, dropout_rate: float | None) -> tuple[torch.nn.Module, None]:
        model, state = super().init_model(workload, rng, dropout_rate)
        if not hasattr(model, "module"):
            setattr(type(model), "module", property(lambda self: self))  # noqa: B010 (mypy knows no such attribute)
        return model, state
