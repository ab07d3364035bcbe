"""Schedules against optax's, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from submissions import components

TOTAL = 200


def table(name: str, total: int = TOTAL, **settings: float) -> np.ndarray:
    schedule = components.load("schedule", name)
    return schedule.module.multiplier(np.arange(total + 1), total, **{**schedule.defaults, **settings})


def optax_table(schedule: optax.Schedule, total: int = TOTAL) -> np.ndarray:
    return np.array([float(schedule(step)) for step in range(total + 1)])


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.25])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_warmup_cosine_is_optax(warmup, final):
    steps = round(warmup * TOTAL)
    oracle = optax.warmup_cosine_decay_schedule(0.0 if steps else 1.0, 1.0, steps, TOTAL, final)
    np.testing.assert_allclose(
        table("warmup_cosine", warmup_fraction=warmup, final_fraction=final), optax_table(oracle), atol=1e-6
    )


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.25])
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_warmup_linear_is_optax(warmup, final):
    steps = round(warmup * TOTAL)
    oracle = optax.join_schedules(
        [optax.linear_schedule(0.0, 1.0, max(steps, 1)), optax.linear_schedule(1.0, final, TOTAL - steps)], [steps]
    )
    np.testing.assert_allclose(
        table("warmup_linear", warmup_fraction=warmup, final_fraction=final), optax_table(oracle), atol=1e-6
    )


@pytest.mark.parametrize("decay", [0.2, 0.5])
def test_warmup_stable_decay_is_optax(decay):
    start = TOTAL - round(decay * TOTAL)
    oracle = optax.join_schedules(
        [
            optax.linear_schedule(0.0, 1.0, 10),
            optax.constant_schedule(1.0),
            optax.linear_schedule(1.0, 0.1, TOTAL - start),
        ],
        [10, start],
    )
    found = table("warmup_stable_decay", warmup_fraction=0.05, decay_fraction=decay, final_fraction=0.1)
    np.testing.assert_allclose(found, optax_table(oracle), atol=1e-6)


def test_warmup_stable_decay_without_decay_warms_up_and_holds():
    oracle = optax.warmup_constant_schedule(0.0, 1.0, 10)
    found = table("warmup_stable_decay", warmup_fraction=0.05, decay_fraction=0.0)
    np.testing.assert_allclose(found, optax_table(oracle), atol=1e-6)


def test_inverse_sqrt_is_the_transformer_schedule_divided_by_its_peak():
    """Vaswani et al. 2017, equation 3: min(step^-1/2, step warmup^-3/2)."""
    steps = np.arange(1, TOTAL + 1)
    published = np.minimum(steps**-0.5, steps * 20.0**-1.5) * 20**0.5
    np.testing.assert_allclose(table("inverse_sqrt", warmup_fraction=0.1)[1:], published, rtol=1e-12)


def test_constant_is_one():
    assert (table("constant") == 1).all()


@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_one_cycle_is_warmup_cosine_and_two_are_it_twice(warmup):
    settings = {"warmup_fraction": warmup, "final_fraction": 0.1}
    once = table("warmup_cosine", **settings)
    np.testing.assert_allclose(table("cyclic_cosine", cycles=1, **settings), once, atol=1e-12)
    twice = table("cyclic_cosine", total=2 * TOTAL, cycles=2, peak_decay=0.5, **settings)
    np.testing.assert_allclose(twice[:TOTAL], once[:TOTAL], atol=1e-12)
    np.testing.assert_allclose(twice[TOTAL:], 0.5 * once, atol=1e-12)


fractions = st.floats(0, 1)


@pytest.mark.parametrize("name", components.names("schedule"))
@given(total=st.integers(1, 60), values=st.lists(fractions, min_size=4, max_size=4))
def test_any_fractions_give_multipliers_between_zero_and_one(name, total, values):
    defaults = components.load("schedule", name).defaults
    fractions = [key for key, value in defaults.items() if isinstance(value, float)]
    found = table(name, total, **dict(zip(fractions, values, strict=False)))
    assert found.shape == (total + 1,)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()


@pytest.mark.parametrize("name", ["cyclic_cosine", "warmup_cosine", "warmup_linear", "warmup_stable_decay"])
@given(total=st.integers(1, 300), warmup=st.floats(0, 1))
def test_decaying_schedules_end_at_exactly_zero(name, total, warmup):
    settings = {"decay_fraction": 1.0} if name == "warmup_stable_decay" else {}
    assert table(name, total, warmup_fraction=warmup, final_fraction=0.0, **settings)[-1] == 0
