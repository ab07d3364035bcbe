"""The attention of both frameworks against flax's and torch's own modules and against each other."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch
from flax import linen

from harness.spec import ParameterType
from workloads import attention_jax, attention_torch
from workloads.declared import attention
from workloads.init_laws import normal
from workloads.layers_jax import Scope

FEATURES, HEADS = 12, 3


@pytest.fixture(params=[False, True], ids=["plain", "bias"])
def values(request):
    """Values by leaf, ``query.kernel`` and so on; biases are moved off zero."""
    random = np.random.RandomState(0)
    declared = attention("Attention_0", FEATURES, HEADS, bias=request.param)
    return {p.name.split(".", 1)[1]: random.standard_normal(p.shape).astype(np.float32) for p in declared}


def nested(values):
    tree = {}
    for name, value in values.items():
        layer, leaf = name.split(".")
        tree.setdefault(layer, {})[leaf] = value
    return tree


def in_torch(values):
    module = attention_torch.MultiHeadAttention(FEATURES, HEADS, bias="query.bias" in values)
    state = {name.replace("kernel", "weight"): torch.tensor(value) for name, value in values.items()}
    module.load_state_dict(state)
    return module


@pytest.fixture
def tokens():
    random = np.random.RandomState(1)
    return random.standard_normal((2, 5, FEATURES)).astype(np.float32), random.standard_normal((2, 7, FEATURES)).astype(
        np.float32
    )


def flax_attention(values, x, memory, allowed=None):
    module = linen.MultiHeadDotProductAttention(HEADS, use_bias="query.bias" in values)
    return np.asarray(module.apply({"params": nested(values)}, x, memory, mask=allowed))


def test_attention_is_flax_own_in_both_frameworks(values, tokens):
    x, memory = tokens
    expected = flax_attention(values, x, memory)
    found_jax = attention_jax.multi_head_attention(Scope(nested(values)), x, memory)
    found_torch = in_torch(values)(torch.tensor(x), torch.tensor(memory)).detach().numpy()
    np.testing.assert_allclose(found_jax, expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found_torch, expected, rtol=2e-5, atol=2e-5)


def test_masked_attention_is_flax_own_even_for_a_query_without_any_key(values, tokens):
    x, memory = tokens
    allowed = np.random.RandomState(2).random_sample((2, 1, 5, 7)) < 0.5
    allowed[1, 0, 3] = False
    expected = flax_attention(values, x, memory, allowed)
    mask = attention_jax.additive_mask(allowed, np.float32)
    found_jax = attention_jax.multi_head_attention(Scope(nested(values)), x, memory, mask)
    mask = attention_torch.additive_mask(torch.tensor(allowed), torch.float32)
    found_torch = in_torch(values)(torch.tensor(x), torch.tensor(memory), mask).detach().numpy()
    np.testing.assert_allclose(found_jax, expected, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found_torch, expected, rtol=2e-5, atol=2e-5)


def test_the_scale_of_the_logits_replaces_the_usual_one(values, tokens):
    x, _ = tokens
    usual = (FEATURES // HEADS) ** -0.5
    sharper = {**values, "query.kernel": 4 * values["query.kernel"]}
    if "query.bias" in values:
        sharper["query.bias"] = 4 * values["query.bias"]
    expected = flax_attention(sharper, x, x)
    found_jax = attention_jax.multi_head_attention(Scope(nested(values)), x, scale=4 * usual)
    found_torch = in_torch(values)(torch.tensor(x), scale=4 * usual).detach().numpy()
    np.testing.assert_allclose(found_jax, expected, rtol=5e-5, atol=5e-5)
    np.testing.assert_allclose(found_torch, expected, rtol=5e-5, atol=5e-5)


def test_gradients_agree(values, tokens):
    x, memory = tokens

    def loss(params):
        return (attention_jax.multi_head_attention(Scope(params), x, memory) ** 2).sum()

    expected = jax.grad(loss)(nested(values))
    module = in_torch(values)
    module(torch.tensor(x), torch.tensor(memory)).square().sum().backward()
    for name, parameter in module.named_parameters():
        layer, leaf = name.split(".")
        other = np.asarray(expected[layer]["kernel" if leaf == "weight" else leaf])
        scale = np.abs(expected[layer]["kernel"]).max()  # the key's bias moves nothing: its gradient is rounding
        np.testing.assert_allclose(parameter.grad.numpy(), other, atol=1e-5 * scale, rtol=1e-4, err_msg=name)


def test_projections_are_drawn_as_the_matrices_that_they_are():
    """As flax draws them: the fans of every kernel are the width of the model."""
    kernels = {p.name: p for p in attention("A", 240, 8) if p.name.endswith("kernel")}
    bound = np.sqrt(6 / 480)
    for parameter in kernels.values():
        drawn = parameter.init(np.random.RandomState(0), parameter.shape)
        assert drawn.shape == parameter.shape
        assert 0.999 * bound < np.abs(drawn).max() <= bound
    assert kernels["A.out.kernel"].type is ParameterType.ATTENTION_OUT
    assert next(attention("A", 4, 2, normal(0.5))).init(np.random.RandomState(0), (4, 2, 2)).shape == (4, 2, 2)
