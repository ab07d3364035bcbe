"""Convolution and batch normalisation: torch's and jax's layers against each other, and against torch's own modules."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from workloads.layers_jax import Scope, Statistics, batch_norm, conv
from workloads.layers_torch import BatchNorm, Conv

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize("padding", ["SAME", "VALID", 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("space", "window", "groups"), [((9, 12), (3, 4), 1), ((7, 8), (2, 2), 2), ((11,), (5,), 4)])
def test_convolutions_agree(space, window, groups, stride, padding):
    kernel = RANDOM.standard_normal((*window, 4 // groups, 8))
    bias, x = RANDOM.standard_normal(8), RANDOM.standard_normal((2, *space, 4))
    layer = Conv(4, 8, window, stride=stride, padding=padding, groups=groups).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.moveaxis(kernel, (-1, -2), (0, 1))))
        layer.bias.copy_(torch.tensor(bias))
        found = layer(torch.tensor(np.moveaxis(x, -1, 1))).numpy()
    with jax.enable_x64(True):
        scope = Scope({"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)})
        expected = conv(scope, jnp.asarray(x), stride=stride, padding=padding, groups=groups)
        if isinstance(padding, str):  # XLA's own reading of the word
            dims = ("NHWC", "HWIO", "NHWC") if len(space) == 2 else ("NHC", "HIO", "NHC")
            strides = (stride,) * len(space)
            own = jax.lax.conv_general_dilated(
                x, kernel, strides, padding, dimension_numbers=dims, feature_group_count=groups
            )
            np.testing.assert_allclose(expected, own + bias, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, rtol=1e-12, atol=1e-12)


def three_passes(decay, eps, update):
    """Outputs and statistics of both layers and of torch's own, after three training batches and in evaluation."""
    scale, bias = RANDOM.standard_normal(3), RANDOM.standard_normal(3)
    batches = 1 + 2 * RANDOM.standard_normal((4, 6, 5, 5, 3))
    ours, own = BatchNorm(3, decay=decay, eps=eps).double(), torch.nn.BatchNorm2d(3, eps, 1 - decay).double()
    state = {"batch_stats": {"BatchNorm_0": {"mean": np.zeros(3), "var": np.ones(3)}}}
    for layer in (ours, own):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(scale))
            layer.bias.copy_(torch.tensor(bias))
        layer.momentum = layer.momentum if update else 0.0
    results = []
    with jax.enable_x64(True), torch.no_grad():
        scope = Scope({"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}, "BatchNorm_0.")
        for number, batch in enumerate(batches):
            train = number < 3
            statistics = Statistics(state, train=train, update=update)
            found = batch_norm(scope, statistics, jnp.asarray(batch), decay=decay, eps=eps)
            state = statistics.state()
            channels_first = torch.tensor(np.moveaxis(batch, -1, 1))
            outputs = [layer.train(train)(channels_first).numpy() for layer in (ours, own)]
            results.append((found, *(np.moveaxis(output, 1, -1) for output in outputs)))
    return results, state["batch_stats"]["BatchNorm_0"], ours, own


@pytest.mark.parametrize("update", [True, False])
def test_batch_norm_is_torchs_own_in_both_frameworks(update):
    results, state, ours, own = three_passes(0.9, 1e-5, update)
    for in_jax, in_torch, expected in results:
        np.testing.assert_allclose(in_torch, expected, rtol=1e-10)
        np.testing.assert_allclose(in_jax, expected, rtol=1e-9, atol=1e-9)
    for name in ("mean", "var"):
        expected = getattr(own, f"running_{name}").numpy()
        np.testing.assert_allclose(getattr(ours, f"running_{name}").numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(state[name], expected, rtol=1e-9)
    assert (np.abs(state["mean"]) > 0.1).all() == update


def test_the_state_that_came_in_is_not_changed():
    state = {"batch_stats": {"a": {"BatchNorm_0": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}}}
    scope = Scope({"scale": jnp.ones(2), "bias": jnp.zeros(2)}, "a.BatchNorm_0.")
    statistics = Statistics(state, train=True, update=True)
    batch_norm(scope, statistics, jnp.asarray(RANDOM.standard_normal((8, 2)), jnp.float32), decay=0.5, eps=1e-5)
    assert (state["batch_stats"]["a"]["BatchNorm_0"]["mean"] == 0).all()
    assert (statistics.state()["batch_stats"]["a"]["BatchNorm_0"]["mean"] != 0).all()
