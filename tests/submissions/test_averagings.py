"""Averages of the iterates against plain numpy, in both frameworks, and their place in a composition."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from submissions import components, composition
from submissions.arrays import NAMES, namespace

TOTAL = 100
ITERATES = np.random.RandomState(0).standard_normal((TOTAL, 7)).astype(np.float32)


def averages(framework: str, name: str, **settings: float) -> list[np.ndarray]:
    """What is evaluated after each step."""
    xp, component = namespace(framework), components.load("averaging", name)
    settings = {**component.defaults, **settings}

    def update(state, iterate, step):
        state = component.module.update(xp, state, lambda: iterate, step, TOTAL, **settings)
        return state, component.module.average(xp, state, lambda: iterate)

    if framework == "jax":
        import jax

        update, iterates = jax.jit(update), jax.numpy.asarray(ITERATES)
    else:
        import torch

        iterates = torch.tensor(ITERATES)
    state, found = component.module.start(xp, lambda: iterates[0], **settings), []
    for step, iterate in enumerate(iterates, 1):
        state, average = update(state, iterate, step)
        found.append(np.asarray(average))
    return found


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_queue_is_the_mean_of_the_latest_kept_iterates(framework):
    found = averages(framework, "lawa_queue", length=3, start_fraction=0.2, every_fraction=0.05)
    for step in range(1, TOTAL + 1):
        kept = [s for s in range(20, step + 1) if s % 5 == 0][-3:]
        expected = np.mean([ITERATES[s - 1] for s in kept], axis=0) if kept else ITERATES[step - 1]
        np.testing.assert_allclose(found[step - 1], expected, atol=1e-6)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_moving_average_starts_at_the_first_kept_iterate(framework):
    found = averages(framework, "lawa_ema", decay=0.75, start_fraction=0.2, every_fraction=0.05)
    mean = None
    for step in range(1, TOTAL + 1):
        if step >= 20 and step % 5 == 0:
            mean = ITERATES[step - 1] if mean is None else 0.75 * mean + 0.25 * ITERATES[step - 1]
        expected = ITERATES[step - 1] if mean is None else mean
        np.testing.assert_allclose(found[step - 1], expected, atol=1e-6)


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", components.names("averaging"))
def test_keeps_as_many_values_as_it_declares(name, framework, parameters):
    component, xp = components.load("averaging", name), namespace(framework)
    size = sum(parameter.size for parameter in parameters)
    if framework == "torch":
        import torch

        values = torch.zeros(size)
    else:
        import jax.numpy as jnp

        values = jnp.zeros(size)
    state = component.module.start(xp, lambda: values, **component.defaults)
    held = sum(int(np.prod(array.shape)) for array in state.values() if array.shape)
    assert held == component.state_size(parameters)


def test_the_averaged_parameters_are_those_that_the_same_training_without_it_passes_through(run, mnist):
    """A queue of one iterate, kept at every step, is the last iterate."""
    data = {"name": "last", "optimizer": "adamw"}
    queue = {"name": "lawa_queue", "length": 1, "start_fraction": 0.0, "every_fraction": 0.001}
    plain = run(composition.load(data, "torch", defaults=True), "torch", 8)
    averaged = run(composition.load(data | {"averaging": queue}, "torch", defaults=True), "torch", 8)
    functions = composition.load(data | {"averaging": queue}, "torch", defaults=True)
    workload = mnist("torch")
    _, params, _ = functions.prepare_for_eval(
        workload, averaged.params, None, None, None, workload.loss_type, averaged.optimizer_state, [], 8, None
    )
    for name, value in workload.export_parameters(params).items():
        np.testing.assert_array_equal(value, plain.values[name])


@pytest.mark.parametrize("optimizer", ["adamw", "shampoo", "generalized_adam", "sgd_nesterov", "sam"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_the_torch_state_can_be_copied_with_its_model(optimizer, copied, run):
    data = {"name": "copied", "optimizer": optimizer, "averaging": "lawa_ema"}
    functions = composition.load(data, "torch", defaults=True)
    ran = run(functions, "torch", 3)
    model, state = copied((ran.params, ran.optimizer_state))
    ours = [p for group in state["optimizer"].param_groups for p in group["params"]]
    assert {id(p) for p in ours} == {id(p) for p in model.parameters()}
    assert (state["average"]["mean"] == ran.optimizer_state["average"]["mean"]).all()


def test_an_optimizer_with_an_average_of_its_own_takes_no_other():
    found = composition.problems({"name": "two", "optimizer": "schedule_free_sgd", "averaging": "lawa_ema"})
    assert [str(problem) for problem in found] == [
        "averaging: schedule_free_sgd evaluates at an average of its own; leave averaging out"
    ]


def test_the_shared_functions_exist_in_both_frameworks():
    for framework in ("torch", "jax"):
        xp = namespace(framework)
        assert all(callable(getattr(xp, name)) or name == "linalg" for name in NAMES)
