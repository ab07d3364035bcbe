"""The battery that every optimizer component passes, and what is special to some."""

from __future__ import annotations

import numpy as np
import pytest

from harness.spec import LossType
from submissions import components

STEPS = 50
ALL = components.names("optimizer")


LEARNING_RATE_FREE = {
    "cocob": {},
    "dadapt_adamw": {"initial_rate": 1e-2},
    "dog": {"relative_start": 1e-3},
    "dowg": {},
    "mechanic": {"initial_scale": 1e-3},
    "momo": {},
    "momo_adam": {"learning_rate": 0.3},
    "prodigy": {"initial_rate": 1e-2},
}
"""Their learning rate multiplies a step that they find; with these first guesses, STEPS steps are enough."""
IN_FLOAT64 = {
    "cautious_adamw": "its mask jumps where an update nearly vanishes",
    "shampoo": "roots of singular matrices divide by small eigenvalues",
    "caspr": "roots of singular matrices divide by small eigenvalues",
    "soap": "a basis of eigenvectors turns freely where eigenvalues are close",
}
"""Those that amplify rounding, so that frameworks can be compared in double precision only, and why."""
TUNED = [name for name in ALL if name not in LEARNING_RATE_FREE]


def rates(peak: float, steps: int = STEPS) -> list[float]:
    """A learning rate that changes at every step, from zero on, as under a schedule."""
    shape = components.load("schedule", "warmup_cosine").module.multiplier(np.arange(steps), 2 * steps, 0.1, 0.0)
    return (peak * shape).tolist()


def settings_of(name: str, learning_rate: float, **changes: float) -> dict:
    known = components.load("optimizer", name).defaults
    found = {**known, "learning_rate": learning_rate, **{k: v for k, v in changes.items() if k in known}}
    return {**found, "learning_rate": 1.0, **LEARNING_RATE_FREE[name]} if name in LEARNING_RATE_FREE else found


def largest_difference(a, b) -> float:
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.mark.parametrize("name", TUNED)
def test_torch_and_jax_agree(name, quadratic):
    component = components.load("optimizer", name)
    if len(component.frameworks) < 2:
        pytest.skip(f"{name} exists in {component.frameworks[0]} only")
    settings = settings_of(name, learning_rate=0.02, weight_decay=0.1)
    problem = quadratic.astype(np.float64) if name in IN_FLOAT64 else quadratic
    in_torch, _ = problem.run_torch(component.module, settings, rates(0.02))
    in_jax = problem.run_jax(component.module, settings, rates(0.02))
    assert largest_difference(in_torch, quadratic.start) > 0.1
    assert largest_difference(in_torch, in_jax) < 1e-5


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", ALL)
def test_decreases_a_convex_loss_and_repeats_exactly_when_saved_and_read_back(name, framework, quadratic):
    component = components.load("optimizer", name)
    if framework not in component.frameworks:
        pytest.skip(f"{name} has no {framework} version")
    settings = settings_of(name, learning_rate=0.05, weight_decay=0.1)
    schedule = rates(settings["learning_rate"])
    problem = quadratic.astype(np.float64) if name in IN_FLOAT64 and framework == "jax" else quadratic

    def final(saved_at=None):
        if framework == "torch":
            return problem.run_torch(component.module, settings, schedule, saved_at=saved_at)[0]
        return problem.run_jax(component.module, settings, schedule, saved_at)

    values = final()
    assert all(np.isfinite(value).all() for value in values.values())
    assert quadratic.loss(values) < 0.8 * quadratic.loss(quadratic.start)
    assert largest_difference(values, final(saved_at=STEPS // 2)) == 0


@pytest.mark.parametrize("name", ALL)
def test_torch_state_survives_saving_and_loading(name, quadratic):
    module = components.load("optimizer", name).module
    settings = settings_of(name, learning_rate=0.05, weight_decay=0.1)
    half_of_them = [settings["learning_rate"]] * 10
    whole, _ = quadratic.run_torch(module, settings, half_of_them * 2)
    half, optimizer = quadratic.run_torch(module, settings, half_of_them)
    resumed = type(quadratic)(half, quadratic.goal, quadratic.curvature)
    again, _ = resumed.run_torch(module, settings, half_of_them, optimizer.state_dict())
    assert largest_difference(whole, again) < 1e-6


@pytest.mark.parametrize(
    "name", [n for n in TUNED if getattr(components.load("optimizer", n).module, "DECOUPLED_DECAY", True)]
)
def test_weight_decay_is_decoupled_and_multiplied_by_the_learning_rate(name, quadratic):
    """At zero gradient a step multiplies each parameter by 1 - learning rate * weight decay."""
    component = components.load("optimizer", name)
    if "weight_decay" not in component.defaults:
        pytest.skip(f"{name} has no weight decay")
    flat = {n: np.zeros_like(v) for n, v in quadratic.curvature.items()}
    problem = type(quadratic)(quadratic.start, quadratic.goal, flat)
    settings = settings_of(name, learning_rate=0.5, weight_decay=0.1)
    expected = {n: v * (1 - 0.5 * 0.1) for n, v in quadratic.start.items()}
    found = [problem.run_jax(component.module, settings, [0.5])] if "jax" in component.frameworks else []
    if "torch" in component.frameworks:
        found.append(problem.run_torch(component.module, settings, [0.5])[0])
    for values in found:
        assert largest_difference(values, expected) < 1e-6


@pytest.mark.parametrize("name", ALL)
def test_keeps_as_many_values_as_it_declares(name, quadratic, parameters):
    """To one part in twenty, which leaves room for the few numbers that belong to a whole array or model."""
    component = components.load("optimizer", name)
    settings = settings_of(name, learning_rate=0.02, weight_decay=0.1)
    declared = component.state_size(parameters, **settings)
    if "torch" in component.frameworks:
        assert quadratic.state_size_torch(component.module, settings) == pytest.approx(declared, rel=0.05)
    if "jax" in component.frameworks:
        assert quadratic.state_size_jax(component.module, settings) == pytest.approx(declared, rel=0.05)


@pytest.mark.parametrize("loss_type", LossType)
@pytest.mark.parametrize("name", ALL)
def test_stays_finite_on_every_loss_type(name, loss_type, loss_problem):
    """Gradients of a loss are numbers like any others, so that one framework is enough."""
    component = components.load("optimizer", name)
    losses = loss_problem(loss_type, component.module, settings_of(name, learning_rate=0.02, weight_decay=0.1))
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0] or name in LEARNING_RATE_FREE


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
    from submissions.kernels import matrix_in_torch, matrix_shape

    kernel = Parameter("Conv_0.kernel", (3, 3, 4, 16), ParameterType.CONV_WEIGHT, lambda rng, shape: np.zeros(shape))
    assert matrix_shape(kernel) == (36, 16)
    assert matrix_in_torch(kernel, (16, 4, 3, 3)) == (16, 36)


def jax_oracle(quadratic, transformation, steps: int = STEPS, **extra):
    """Final values under a transformation of optax's own, one step after the other."""
    import jax
    import jax.numpy as jnp
    import optax

    def gradients(values, *_):
        return {n: quadratic.curvature[n] * (values[n] - quadratic.goal[n]) for n in values}

    arguments = {"grad_fn": gradients} if extra.pop("grad_fn", False) else {}
    step = jax.jit(lambda values, state: transformation.update(gradients(values), state, values, **arguments))
    values = {n: jnp.asarray(v) for n, v in quadratic.start.items()}
    state = transformation.init(values)
    for _ in range(steps):
        updates, state = step(values, state)
        values = optax.apply_updates(values, updates)
    return {n: np.asarray(v) for n, v in values.items()}


def test_sam_is_optaxs(quadratic):
    import optax

    settings = settings_of("sam", learning_rate=0.02, rho=0.5)
    found, _ = quadratic.run_torch(components.load("optimizer", "sam").module, settings, [0.02] * 20)
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.5))
    oracle = optax.contrib.sam(optax.adamw(0.02, weight_decay=0.0), ascent, sync_period=2, opaque_mode=True)
    assert largest_difference(found, jax_oracle(quadratic, oracle, 20, grad_fn=True)) < 1e-5


def test_adafactor_is_optaxs_on_matrices_and_vectors(quadratic):
    import optax

    settings = settings_of("adafactor", learning_rate=0.05, weight_decay=0.01)
    found, _ = quadratic.run_torch(components.load("optimizer", "adafactor").module, settings, [0.05] * 20)
    oracle = optax.adafactor(0.05, min_dim_size_to_factor=2, momentum=0.9, weight_decay_rate=0.05 * 0.01)
    expected = jax_oracle(quadratic, oracle, 20)
    plain = [name for name, start in quadratic.start.items() if start.ndim < 3]
    assert len(plain) == 5
    assert max(np.abs(found[name] - expected[name]).max() for name in plain) < 1e-5


def test_generalized_adam_of_power_two_without_nesterov_is_adamw(quadratic):
    rate = rates(0.02)
    settings = settings_of("generalized_adam", learning_rate=0.02, weight_decay=0.1, nesterov=False)
    found, _ = quadratic.run_torch(components.load("optimizer", "generalized_adam").module, settings, rate)
    settings = settings_of("adamw", learning_rate=0.02, weight_decay=0.1)
    expected, _ = quadratic.run_torch(components.load("optimizer", "adamw").module, settings, rate)
    assert largest_difference(found, expected) < 1e-5


def test_cautious_adamw_never_moves_against_the_gradient_and_keeps_its_pace(quadratic):
    module = components.load("optimizer", "cautious_adamw").module
    settings = settings_of("cautious_adamw", learning_rate=0.3)
    for steps in (1, 8, 20):
        before, _ = quadratic.run_torch(module, settings, [0.3] * steps)
        after, _ = quadratic.run_torch(module, settings, [0.3] * (steps + 1))
        for name, value in before.items():
            gradient = quadratic.curvature[name] * (value - quadratic.goal[name])
            assert (gradient * (after[name] - value) <= 0).all()
    still = np.concatenate([(after[name] == before[name]).ravel() for name in before])
    assert 0.05 < still.mean() < 0.95


def moved_by_one_gradient(name: str, quadratic, gradient: np.ndarray, steps: int, **settings: float) -> np.ndarray:
    """By how much the last of some steps of rate 1 moves Dense_0.kernel, with the same gradient at every step."""
    tiny = {n: np.full(v.shape, 1e-6) for n, v in quadratic.curvature.items()}
    start = quadratic.astype(np.float64).start
    problem = type(quadratic)(start, {**start, "Dense_0.kernel": start["Dense_0.kernel"] - 1e6 * gradient}, tiny)
    module = components.load("optimizer", name).module
    before, after = (
        problem.run_torch(module, settings_of(name, learning_rate=1.0, **settings), [1.0] * n)[0]["Dense_0.kernel"]
        for n in (steps - 1, steps)
    )
    return before - after


@pytest.mark.parametrize("name", ["shampoo", "caspr"])
def test_roots_of_covariances_leave_the_gradients_singular_vectors(name, quadratic):
    """From G = U S V', inverse fourth roots of GG' and G'G leave a multiple of U V', in Shampoo's product as in each of
    CASPR's terms; Adam's first step, whose length it gets, is a sign for each of the 48 elements."""
    gradient = np.random.RandomState(1).standard_normal((8, 6))
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    moved = moved_by_one_gradient(name, quadratic, gradient, 1, matrix_epsilon=1e-12)
    np.testing.assert_allclose(moved, u @ v * np.sqrt(48 / 6), atol=1e-4)


def test_soap_takes_adams_step_in_the_eigenbasis(quadratic):
    """There the gradient is diagonal, and Adam makes ones of it, at the second step: the first finds the basis."""
    gradient = np.random.RandomState(1).standard_normal((8, 6))
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    assert not moved_by_one_gradient("soap", quadratic, gradient, 1).any()
    moved = moved_by_one_gradient("soap", quadratic, gradient, 2, epsilon=1e-3)
    np.testing.assert_allclose(moved, u @ v, atol=1e-2)


def test_sides_above_the_limit_have_no_preconditioner(quadratic, parameters):
    shampoo = components.load("optimizer", "shampoo")
    settings = settings_of("shampoo", learning_rate=0.05, largest_side=0)
    found, _ = quadratic.run_torch(shampoo.module, settings, [0.05] * 10)
    adam = settings_of("adamw", learning_rate=0.05, beta2=settings["beta2"])
    expected, _ = quadratic.run_torch(components.load("optimizer", "adamw").module, adam, [0.05] * 10)
    assert largest_difference(found, expected) < 1e-5
    assert shampoo.state_size(parameters, largest_side=0) == 2 * sum(p.size for p in parameters)


def test_amos_expects_a_scale_by_type(parameters):
    amos = components.load("optimizer", "amos").module
    scales = {p.name: amos.expected_scale(p) for p in parameters}
    assert scales == pytest.approx(
        {
            "Embed_0.embedding": 8**-0.5,
            "Attention_0.query.kernel": 8**-0.5,
            "Attention_0.out.kernel": 6**-0.5,
            "Dense_0.kernel": 8**-0.5,
            "Dense_0.bias": 0.5,
            "LayerNorm_0.scale": 1.0,
            "Dense_1.kernel": 6**-0.5,
        }
    )
