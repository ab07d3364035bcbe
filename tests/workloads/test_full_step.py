"""One training step of every full-scale model on the CPU, in both frameworks, on a batch of one or two examples.

Plain gradient descent goes so far that the loss should fall by a thousandth of itself, to first order; that it does
says that the gradient is the loss's gradient at this size. The model is the full one; the examples are the mini data's,
made to fit (``full_batch`` in conftest.py), because a step with examples of the full size takes minutes.
"""

from __future__ import annotations

import resource

import jax
import numpy as np
import pytest
import torch

from harness.frameworks import load
from harness.spec import BASE, FRAMEWORKS, ForwardPassMode

pytestmark = pytest.mark.slow

KEY = np.array([0, 11], np.uint32)
SHARE = 1e-3
"""Of the loss by which the step should lower it."""
EXAMPLES = {"finewebedu_lm": 1}
"""Two where nothing else is said: normalisation over a batch needs more than one."""
SMALLER = {"criteo1tb": {"vocabulary": 65_536}}
"""Of models that do not fit: AlgoPerf's own test size."""
COUNTS = {"criteo1tb": 10_785_153}
MOST_BYTES = 8 * 2**30


@pytest.fixture
def full(workload_class, name):
    workload = workload_class(name)(BASE, "full")
    workload.model_config = {**workload.model_config, **SMALLER.get(name, {})}
    return workload


def torch_step(workload, batch):
    """The loss before and after a step, and the number of parameters."""
    params, state = workload.init_model_fn(KEY)
    tensors = workload._bound.to_framework(batch)

    def mean_loss():
        logits, _ = workload.model_fn(params, tensors, state, ForwardPassMode.TRAIN, KEY, False, 0.0)
        loss = workload.loss_fn(tensors["targets"], logits, tensors.get("weights"))
        return loss["summed"] / loss["n_valid_examples"]

    before = mean_loss()
    before.backward()
    assert [name for name, p in params.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        rate = SHARE * before / sum(p.grad.double().square().sum() for p in params.parameters())
        for p in params.parameters():
            p.sub_(rate.to(p.dtype) * p.grad)
        after = mean_loss()
    return before.item(), after.item(), sum(p.numel() for p in params.parameters())


def jax_step(workload, batch):
    params, state = workload.init_model_fn(KEY)
    arrays = workload._bound.to_framework(batch)

    @jax.jit
    def loss_and_gradient(params):
        def mean_loss(params):
            logits, _ = workload.model_fn(params, arrays, state, ForwardPassMode.TRAIN, KEY, False, 0.0)
            loss = workload.loss_fn(arrays["targets"], logits, arrays.get("weights"))
            return loss["summed"] / loss["n_valid_examples"]

        return jax.value_and_grad(mean_loss)(params)

    before, gradient = loss_and_gradient(params)
    rate = SHARE * float(before) / sum(float((g**2).sum()) for g in jax.tree.leaves(gradient))
    params = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
    del gradient
    after, _ = loss_and_gradient(params)
    return float(before), float(after), sum(p.size for p in jax.tree.leaves(params))


def test_a_step_lowers_the_loss_by_what_the_gradient_promises_in_both_frameworks(full, full_batch, name):
    batch = full_batch(full, EXAMPLES.get(name, 2))
    steps = {"torch": torch_step, "jax": jax_step}
    before, after, sizes = zip(*(steps[f](full.bind(load(f)), batch) for f in FRAMEWORKS), strict=True)
    assert sizes == (COUNTS.get(name, full.num_parameters),) * 2
    assert before[0] == pytest.approx(before[1], rel=1e-4)
    for b, a in zip(before, after, strict=True):
        assert 0.5 < (b - a) / (SHARE * b) < 1.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < MOST_BYTES
