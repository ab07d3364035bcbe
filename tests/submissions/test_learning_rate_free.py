"""What the learning-rate-free optimizers promise beyond the shared battery."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from submissions import components
from submissions.arrays import namespace

METHODS = ("cocob", "dadapt_adamw", "dog", "dowg", "mechanic", "momo", "momo_adam", "prodigy")
WARM_UP = [0.0, 0.5, *[1.0] * 48]
"""Multipliers of the learning rate: a warm-up from zero, then constant."""


def module_of(name):
    return components.load("optimizer", name).module


def settings_of(name, **changes):
    return {**components.load("optimizer", name).defaults, **changes}


def rates_of(name, multipliers=WARM_UP):
    return [settings_of(name)["learning_rate"] * multiplier for multiplier in multipliers]


def scaled(quadratic, factor):
    return type(quadratic)(quadratic.start, quadratic.goal, {n: factor * c for n, c in quadratic.curvature.items()})


def largest_difference(a, b):
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.fixture(scope="module")
def precise(quadratic):
    """The quadratic in double precision: growing estimates magnify the rounding of single precision a thousandfold."""
    return quadratic.astype(np.float64)


@pytest.mark.parametrize(
    ("name", "changes"),
    [*((name, {}) for name in METHODS), ("mechanic", {"nesterov": True}), ("prodigy", {"growth": 2.0})],
)
def test_torch_takes_the_steps_of_optax(name, changes, precise):
    settings = settings_of(name, weight_decay=0.1, **changes)
    in_torch, _ = precise.run_torch(module_of(name), settings, rates_of(name))
    in_jax = precise.run_jax(module_of(name), settings, rates_of(name))
    assert largest_difference(in_torch, precise.start) > 0.01
    assert largest_difference(in_torch, in_jax) < 1e-6


@pytest.mark.parametrize("name", [name for name in METHODS if name != "momo"])
def test_the_scale_of_the_loss_does_not_matter(name, precise):
    """MoMo alone has a cap that the scale moves it against; DoWG's epsilon is its first guess as well."""
    settings = settings_of(name, epsilon=1e-8 if name == "dowg" else 1e-30)
    once, thousandfold = (
        problem.run_torch(module_of(name), settings, rates_of(name))[0]
        for problem in (precise, scaled(precise, 1000.0))
    )
    assert largest_difference(once, precise.start) > 0.01
    assert largest_difference(once, thousandfold) < 1e-4


@pytest.mark.parametrize("name", ["cocob", "dog", "dowg"])
def test_l2_is_a_part_of_the_loss(name, precise):
    """``c (x - g)^2 + w x^2`` is ``(c + w) (x - c g / (c + w))^2`` and a constant."""
    weight_decay = 0.3
    curvature = {n: c + weight_decay for n, c in precise.curvature.items()}
    goal = {n: precise.curvature[n] * g / curvature[n] for n, g in precise.goal.items()}
    regularized = type(precise)(precise.start, goal, curvature)
    found, _ = precise.run_torch(module_of(name), settings_of(name, weight_decay=weight_decay), rates_of(name))
    expected, _ = regularized.run_torch(module_of(name), settings_of(name), rates_of(name))
    assert largest_difference(found, expected) < 1e-8


@pytest.mark.parametrize(
    ("name", "framework"),
    [*((name, "torch") for name in METHODS), *((name, "jax") for name in ("dadapt_adamw", "mechanic", "prodigy"))],
)
def test_no_gradient_and_no_learning_rate_are_no_trouble(name, framework, quadratic):
    """Estimates are 0 / 0 there; what comes after must still be learnt."""
    flat, rates = scaled(quadratic, 0.0), rates_of(name, [0.0, 1.0, 0.0])
    if framework == "jax":
        found = flat.run_jax(module_of(name), settings_of(name), rates)
        assert largest_difference(found, quadratic.start) == 0
        return
    found, optimizer = flat.run_torch(module_of(name), settings_of(name), rates)
    assert largest_difference(found, quadratic.start) == 0
    later, _ = quadratic.run_torch(module_of(name), settings_of(name), rates_of(name), optimizer.state_dict())
    assert quadratic.loss(later) < quadratic.loss(quadratic.start)


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("power", [0.0, 3.0, 8.0])
def test_the_weight_of_an_iterate_grows_with_a_power_of_its_step(power, framework):
    """Polynomial-decay averaging: step t of T has the weight ``C(t - 1 + power, power)``, over their sum."""
    averaging = components.load("averaging", "polynomial_decay").module
    xp, steps = namespace(framework), 12
    one = xp.ones_like(xp.identity(3, array(framework))[0])
    state = averaging.start(xp, lambda: 100.0 * one, power=power)
    for step in range(1, steps + 1):
        state = averaging.update(xp, state, lambda step=step: float(step**2) * one, step, steps, power=power)
    weights = np.cumprod([1.0, *((t + power) / t for t in range(1, steps))])
    expected = np.average(np.arange(1, steps + 1) ** 2, weights=weights)
    np.testing.assert_allclose(np.asarray(averaging.average(xp, state, None)), expected, rtol=1e-5)


def array(framework):
    if framework == "jax":
        return jax.numpy.zeros(3)
    import torch

    return torch.zeros(3)


def test_mechanic_is_recorded_with_the_optimizers_that_it_wraps():
    files = {file.stem for file in components.source_files([components.load("optimizer", "mechanic")])}
    assert {"mechanic", "adamw", "nadamw"} <= files
    assert "lion" not in files
