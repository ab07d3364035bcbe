"""The plain models that step times are compared with are of the workloads' size; the comparison takes turns."""

from __future__ import annotations

import functools
import math

import jax
import numpy as np
import pytest

from benchmarks import steps
from benchmarks.interleaving import compare

SIZES = {"criteo1tb": 4, "finewebedu_lm": 2, "mnist": 4, "ogbg": 4}


@pytest.fixture
def batch():
    def make(workload):
        size = SIZES.get(workload.name, 2)
        stored = {key: np.array(array[:size]) for key, array in workload.load_split("train").items()}
        return workload._bound.to_framework(workload.collate(stored))

    return make


@pytest.mark.parametrize("plain", steps.plain_names())
def test_plain_torch_models_are_of_the_workloads_size_and_give_its_loss(plain, batch):
    workload = steps.bound(plain, "torch")
    model = steps.plain_module(plain).TorchModel(workload)
    # torch's LSTM has a second bias, which is added to the first
    sizes = [p.numel() for name, p in model.named_parameters() if "bias_ih" not in name]
    assert sum(sizes) == workload.num_parameters
    ours, state = workload.init_model_fn(np.array([0, 1], np.uint32))
    tensors = batch(workload)
    expected, found = our_loss(workload, ours, state, tensors).item(), model(tensors).item()
    assert 0.1 < math.exp(found) / math.exp(expected) < 10  # both untrained


@pytest.mark.parametrize("plain", steps.plain_names())
def test_plain_jax_models_are_of_the_workloads_size_and_give_its_loss(plain, batch):
    workload = steps.bound(plain, "jax")
    arrays = batch(workload)
    init, loss = steps.plain_module(plain).jax_model(workload)
    params, state = jax.jit(init)(jax.random.key(0), arrays)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == workload.num_parameters
    ours, our_state = workload.init_model_fn(np.array([0, 1], np.uint32))
    found, _ = jax.jit(loss)(params, state, arrays, jax.random.key(1))
    expected = jax.jit(functools.partial(our_loss, workload))(ours, our_state, arrays)
    assert 0.1 < math.exp(float(found)) / math.exp(float(expected)) < 10


def our_loss(workload, params, state, batch):
    from harness.spec import ForwardPassMode

    key = np.array([0, 1], np.uint32)
    logits, _ = workload.model_fn(params, batch, state, ForwardPassMode.EVAL, key, False)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    return loss["summed"] / loss["n_valid_examples"]


def test_two_loops_take_turns_and_their_ratio_is_that_of_their_costs():
    calls, now = [], [0.0]

    def costing(name, cost):
        def stretch(number):
            calls.append(name)
            now[0] += cost * number

        return stretch

    found = compare(costing("a", 3.0), costing("b", 2.0), rounds=4, steps=10, clock=lambda: now[0])
    assert calls[2:] == ["b", "a", "a", "b"] * 2
    assert (found.first_sec, found.second_sec) == pytest.approx((3.0, 2.0))
    assert (found.ratio, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
