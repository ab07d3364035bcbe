"""Which parameters are linear maps, and their shape as a matrix; from declared types, never from names."""

from __future__ import annotations

import math

from harness.spec import Parameter, ParameterType, Shape

_INPUTS_FIRST = frozenset(
    {
        ParameterType.ATTENTION_Q,
        ParameterType.ATTENTION_K,
        ParameterType.ATTENTION_V,
        ParameterType.ATTENTION_QKV,
        ParameterType.ATTENTION_KV,
    }
)
"""One input axis, then heads and features: ``(in, heads, features)``."""

_OUTPUTS_LAST = frozenset({ParameterType.WEIGHT, ParameterType.CONV_WEIGHT, ParameterType.ATTENTION_OUT})
"""One output axis, at the end: ``(in, out)``, ``(height, width, in, out)``, ``(heads, features, out)``."""


def is_kernel(parameter: Parameter) -> bool:
    """Whether it maps activations linearly: dense, convolution and attention kernels (embeddings do not)."""
    return len(parameter.shape) >= 2 and parameter.type in _INPUTS_FIRST | _OUTPUTS_LAST


def axes(parameter: Parameter) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Input and output axes of a kernel in its declared shape."""
    every = tuple(range(len(parameter.shape)))
    split = 1 if parameter.type in _INPUTS_FIRST else len(every) - 1
    return every[:split], every[split:]


def matrix_shape(parameter: Parameter) -> Shape:
    """``(fan in, fan out)`` of a kernel; a C-order reshape of the declared shape."""
    inputs, outputs = axes(parameter)
    return math.prod(parameter.shape[i] for i in inputs), math.prod(parameter.shape[i] for i in outputs)
