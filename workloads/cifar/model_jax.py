"""The residual network in jax."""

from workloads.resnet.model_jax import apply

__all__ = ["apply"]
