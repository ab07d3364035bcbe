"""Which parameters are linear maps, and their shape as a matrix; from declared types, never from names."""

from __future__ import annotations

import math
from typing import Any

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


def general_matrix_shape(parameter: Parameter) -> Shape:
    """Any parameter as a matrix: kernels ``(fan in, fan out)``, others ``(all but the last axis, last axis)``; vectors
    and scalars stay what they are."""
    shape = parameter.shape
    if len(shape) < 2:
        return tuple(shape)
    return matrix_shape(parameter) if is_kernel(parameter) else (math.prod(shape[:-1]), shape[-1])


def matrix_in_torch(parameter: Parameter, shape: Shape) -> Shape:
    """A kernel's matrix without moving an axis of torch's tensor of that shape; which side is the input's varies."""
    if parameter.type is ParameterType.CONV_WEIGHT:  # held (out, in, ...)
        return shape[0], math.prod(shape[1:])
    return tuple(shape) if len(shape) == 2 else matrix_shape(parameter)


def to_torch_matrix(parameter: Parameter, tensor: Any) -> Any:
    """torch's tensor in ``general_matrix_shape``, a view where possible; a convolution's inputs in torch's order."""
    if parameter.type is ParameterType.CONV_WEIGHT:
        return tensor.reshape(tensor.shape[0], -1).T
    if is_kernel(parameter) and tensor.ndim == 2:  # held (out, in)
        return tensor.T
    return tensor.reshape(general_matrix_shape(parameter))


def from_torch_matrix(parameter: Parameter, matrix: Any, shape: Shape) -> Any:
    """The inverse of ``to_torch_matrix``: a tensor of torch's shape."""
    held_transposed = parameter.type is ParameterType.CONV_WEIGHT or (is_kernel(parameter) and len(shape) == 2)
    return (matrix.T if held_transposed else matrix).reshape(shape)
