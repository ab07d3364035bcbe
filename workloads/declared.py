"""Declarations of the layers that both frameworks have: what ``layers_torch`` and ``layers_jax`` read."""

from __future__ import annotations

from collections.abc import Iterator

from harness.spec import InitLaw, Parameter, ParameterType
from workloads.init_laws import as_matrix, lecun_normal, ones, xavier_uniform, zeros

MASKED = -1e30
"""What is added to the attention logits of a key that a query may not look at. Finite, so that a query without any
key (padding) averages over all of them, in both frameworks, where minus infinity would make NaN or zeros."""


def dense(
    name: str,
    inputs: int,
    outputs: int,
    law: InitLaw | None = None,
    bias_law: InitLaw | None = zeros,
    is_output: bool = False,
) -> Iterator[Parameter]:
    """Kernel ``(inputs, outputs)``, LeCun normal by default, and bias ``(outputs,)``, absent where its law is None."""
    yield Parameter(f"{name}.kernel", (inputs, outputs), ParameterType.WEIGHT, law or lecun_normal(), is_output)
    if bias_law is not None:
        yield Parameter(f"{name}.bias", (outputs,), ParameterType.BIAS, bias_law, is_output)


def layer_norm(name: str, features: int) -> Iterator[Parameter]:
    """Scale of ones and bias of zeros, ``(features,)`` each."""
    yield Parameter(f"{name}.scale", (features,), ParameterType.LAYER_NORM_SCALE, ones)
    yield Parameter(f"{name}.bias", (features,), ParameterType.LAYER_NORM_BIAS, zeros)


def attention(
    name: str, features: int, heads: int, law: InitLaw = xavier_uniform, bias: bool = False
) -> Iterator[Parameter]:
    """Projections query, key, value ``(features, heads, features / heads)`` and out ``(heads, features / heads,
    features)``; each is drawn as the matrix that it is, so that a law's fans are ``features``. Biases start at 0."""
    split = (heads, features // heads)
    kinds = {
        "query": ParameterType.ATTENTION_Q,
        "key": ParameterType.ATTENTION_K,
        "value": ParameterType.ATTENTION_V,
        "out": ParameterType.ATTENTION_OUT,
    }
    for projection, kind in kinds.items():
        inputs, outputs = (split, (features,)) if projection == "out" else ((features,), split)
        yield Parameter(f"{name}.{projection}.kernel", inputs + outputs, kind, as_matrix(law, len(inputs)))
        if bias:
            yield Parameter(f"{name}.{projection}.bias", outputs, ParameterType.ATTENTION_BIAS, zeros)
