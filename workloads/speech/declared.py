"""Declarations of the layers that ``layers_torch`` and ``layers_jax`` have in common."""

from __future__ import annotations

from collections.abc import Iterator

from harness.spec import Parameter, ParameterType, Statistic
from workloads.declared import dense
from workloads.init_laws import xavier_uniform, zeros

BATCH_NORM_EPS = 1e-3
LAYER_NORM_EPS = 1e-6


def subsampled(length: int) -> int:
    """What two strides of 2 leave."""
    return -(-length // 4)


def subsample(name: str, bins: int, width: int) -> Iterator[Parameter]:
    """Two strided convolutions from one channel to ``width``, and a Dense from all that is left of the frequencies."""
    for index, inputs in enumerate((1, width)):
        kernel = (3, 3, inputs, width)
        yield Parameter(f"{name}.Conv_{index}.kernel", kernel, ParameterType.CONV_WEIGHT, xavier_uniform)
        yield Parameter(f"{name}.Conv_{index}.bias", (width,), ParameterType.BIAS, zeros)
    yield from dense(f"{name}.Dense_0", subsampled(bins) * width, width, xavier_uniform)


def batch_norm(name: str, features: int) -> Iterator[Parameter]:
    """Scale and bias ``(features,)``, both 0 at first: the factor is 1 + scale."""
    yield Parameter(f"{name}.scale", (features,), ParameterType.BATCH_NORM_SCALE, zeros)
    yield Parameter(f"{name}.bias", (features,), ParameterType.BATCH_NORM_BIAS, zeros)


def running(name: str, features: int) -> Iterator[Statistic]:
    """Running mean and variance ``(features,)`` of the batch normalisation of that name."""
    yield Statistic(f"{name}.mean", (features,), 0.0)
    yield Statistic(f"{name}.var", (features,), 1.0)


def layer_norm(name: str, features: int) -> Iterator[Parameter]:
    """Scale and bias ``(features,)``, both 0 at first: the factor is 1 + scale."""
    yield Parameter(f"{name}.scale", (features,), ParameterType.LAYER_NORM_SCALE, zeros)
    yield Parameter(f"{name}.bias", (features,), ParameterType.LAYER_NORM_BIAS, zeros)
