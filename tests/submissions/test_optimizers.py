"""The battery that every optimizer component passes, and what is special to some."""

from __future__ import annotations

import numpy as np
import pytest

from submissions import components

STEPS = 50
ALL = components.names("optimizer")


def rates(peak: float, steps: int = STEPS) -> list[float]:
    """A learning rate that changes at every step, from zero on, as under a schedule."""
    shape = components.load("schedule", "warmup_cosine").module.multiplier(np.arange(steps), 2 * steps, 0.1, 0.0)
    return (peak * shape).tolist()


def settings_of(name: str, **changes: float) -> dict:
    return {**components.load("optimizer", name).defaults, **changes}


def largest_difference(a, b) -> float:
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ALL)
def test_torch_and_jax_agree(name, weight_decay, quadratic):
    component = components.load("optimizer", name)
    if len(component.frameworks) < 2:
        pytest.skip(f"{name} exists in {component.frameworks[0]} only")
    settings = settings_of(name, learning_rate=0.02, weight_decay=weight_decay)
    in_torch, _ = quadratic.run_torch(component.module, settings, rates(0.02))
    in_jax = quadratic.run_jax(component.module, settings, rates(0.02))
    assert largest_difference(in_torch, quadratic.start) > 0.1
    assert largest_difference(in_torch, in_jax) < 1e-5


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", ALL)
def test_decreases_a_convex_loss_and_repeats_exactly(name, framework, quadratic):
    component = components.load("optimizer", name)
    if framework not in component.frameworks:
        pytest.skip(f"{name} has no {framework} version")
    settings = settings_of(name, learning_rate=0.05)

    def final():
        if framework == "torch":
            return quadratic.run_torch(component.module, settings, rates(0.05))[0]
        return quadratic.run_jax(component.module, settings, rates(0.05))

    values = final()
    assert all(np.isfinite(value).all() for value in values.values())
    assert quadratic.loss(values) < 0.8 * quadratic.loss(quadratic.start)
    assert largest_difference(values, final()) == 0


@pytest.mark.parametrize("name", ALL)
def test_torch_state_survives_saving_and_loading(name, quadratic):
    module = components.load("optimizer", name).module
    settings = settings_of(name, learning_rate=0.05, weight_decay=0.1)
    whole, _ = quadratic.run_torch(module, settings, [0.05] * 20)
    half, optimizer = quadratic.run_torch(module, settings, [0.05] * 10)
    resumed = type(quadratic)(half, quadratic.goal, quadratic.curvature)
    again, _ = resumed.run_torch(module, settings, [0.05] * 10, optimizer.state_dict())
    assert largest_difference(whole, again) < 1e-6


@pytest.mark.parametrize("name", ALL)
def test_weight_decay_is_decoupled_and_multiplied_by_the_learning_rate(name, quadratic):
    """At zero gradient a step multiplies each parameter by 1 - learning rate * weight decay."""
    component = components.load("optimizer", name)
    flat = {n: np.zeros_like(v) for n, v in quadratic.curvature.items()}
    problem = type(quadratic)(quadratic.start, quadratic.goal, flat)
    settings = settings_of(name, learning_rate=0.1, weight_decay=0.5)
    expected = {n: v * (1 - 0.1 * 0.5) for n, v in quadratic.start.items()}
    found = [problem.run_jax(component.module, settings, [0.1])] if "jax" in component.frameworks else []
    if "torch" in component.frameworks:
        found.append(problem.run_torch(component.module, settings, [0.1])[0])
    for values in found:
        assert largest_difference(values, expected) < 1e-6


def test_nadamw_is_algoperfs(quadratic):
    """AlgoPerf's NAdamW: constant momentum, bias-corrected one step ahead (Dozat 2016), decoupled decay."""
    beta1, beta2, epsilon, decay, rate = 0.9, 0.99, 1e-8, 0.1, 0.02
    component = components.load("optimizer", "nadamw")
    settings = settings_of("nadamw", learning_rate=rate, beta1=beta1, beta2=beta2, weight_decay=decay)
    found, _ = quadratic.run_torch(component.module, settings, [rate] * STEPS)
    for name, start in quadratic.start.items():
        x, mean, square = start.astype(np.float64), 0.0, 0.0
        for t in range(1, STEPS + 1):
            gradient = quadratic.curvature[name] * (x - quadratic.goal[name])
            mean, square = beta1 * mean + (1 - beta1) * gradient, beta2 * square + (1 - beta2) * gradient**2
            ahead = beta1 * mean / (1 - beta1 ** (t + 1)) + (1 - beta1) * gradient / (1 - beta1**t)
            x = x - rate * (ahead / (np.sqrt(square / (1 - beta2**t)) + epsilon) + decay * x)
        np.testing.assert_allclose(found[name], x, atol=2e-5)


def test_schedule_free_evaluates_at_the_weighted_average_of_its_fast_iterates(quadratic):
    """Defazio et al. 2024, equations 6-8, with weights lr_max^2."""
    component = components.load("optimizer", "schedule_free_adamw")
    beta1, beta2 = 0.9, 0.99
    settings = settings_of("schedule_free_adamw", learning_rate=0.05, beta1=beta1, beta2=beta2, epsilon=1e-8)
    warmup = [0.01, 0.02, 0.03, 0.04] + [0.05] * 20
    found, _ = quadratic.run_torch(component.module, settings, warmup)
    for name, start in quadratic.start.items():
        x = z = start.astype(np.float64)
        square = total = largest = 0.0
        for t, rate in enumerate(warmup, start=1):
            y = (1 - beta1) * z + beta1 * x
            gradient = quadratic.curvature[name] * (y - quadratic.goal[name])
            square = beta2 * square + (1 - beta2) * gradient**2
            z = z - rate * gradient / (np.sqrt(square / (1 - beta2**t)) + 1e-8)
            largest = max(largest, rate)
            total += largest**2
            x = x + largest**2 / total * (z - x)
        np.testing.assert_allclose(found[name], x, atol=2e-5)


def test_muon_splits_by_declared_type(parameters):
    muon = components.load("optimizer", "muon").module
    hidden = {p.name for p in parameters if muon.is_hidden_kernel(p)}
    assert hidden == {"Attention_0.query.kernel", "Attention_0.out.kernel", "Dense_0.kernel"}


def test_muon_moves_hidden_kernels_along_orthogonal_matrices(quadratic):
    """A first step has nearly equal singular values, 0.2 sqrt(max(fan in, fan out)) times the learning rate."""
    muon = components.load("optimizer", "muon").module
    moved, _ = quadratic.run_torch(muon, settings_of("muon", learning_rate=0.1), [0.1])
    for name, shape in {
        "Attention_0.query.kernel": (8, 6),
        "Attention_0.out.kernel": (6, 8),
        "Dense_0.kernel": (8, 6),
    }.items():
        step = (moved[name] - quadratic.start[name]).reshape(shape)
        singular = np.linalg.svd(step, compute_uv=False) / (0.1 * 0.2 * 8**0.5)
        assert singular.min() > 0.6 and singular.max() < 1.3


def test_muon_takes_a_convolution_as_a_matrix_in_both_layouts():
    from harness.spec import Parameter, ParameterType
    from submissions.kernels import matrix_shape

    muon = components.load("optimizer", "muon").module
    kernel = Parameter("Conv_0.kernel", (3, 3, 4, 16), ParameterType.CONV_WEIGHT, lambda rng, shape: np.zeros(shape))
    assert matrix_shape(kernel) == (36, 16)
    assert muon.matrix_in_torch(kernel, (16, 4, 3, 3)) == (16, 36)
