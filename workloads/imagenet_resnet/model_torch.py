"""The residual network in torch."""

from workloads.resnet.model_torch import Model

__all__ = ["Model"]
