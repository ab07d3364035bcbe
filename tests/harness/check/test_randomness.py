"""A constant seed is a fixed start, for a person to judge, while what it makes does not take the place of ``rng``.

In a text, ``# !`` ends the lines that the rule ``randomness`` must find, ``# ?`` those of ``fixed-numbers``.
"""

import pytest

STARTS = """
import jax, torch
import numpy as np
KEY = jax.random.PRNGKey(0)  # ?
np.random.RandomState(1729)  # ?
SEED = 1729
def power_iteration(matrix):
    rng = jax.random.key(SEED)  # ?
    return jax.random.normal(rng, matrix.shape[:1])
def start(matrix):
    first, second = jax.random.split(KEY)
    generator = torch.Generator()
    generator.manual_seed(SEED)  # ?
    torch.randn(3, generator=torch.Generator("cpu").manual_seed(1))  # ?
    return jax.random.normal(jax.random.fold_in(first, 3), matrix.shape)
def update_params(workload, batch, rng):
    noise = jax.random.normal(KEY, (3,))
    workload.model_fn(batch, rng, noise)
    workload.model_fn(batch, jax.random.fold_in(jax.random.PRNGKey(1), rng[0]))  # ?
"""

IN_PLACE = """
import functools, jax
OTHER = jax.random.PRNGKey(1)  # !
DEEP = jax.random.PRNGKey(2)  # !
STEPS = jax.random.PRNGKey(3)  # !
def train_step(workload, params, key):
    return workload.model_fn(params, rng=key)
def deeper(workload, params, key):
    first, _ = jax.random.split(key)
    return functools.partial(workload.model_fn, rng=first)(params)
step = jax.jit(deeper, static_argnums=0)
def made():
    return jax.random.PRNGKey(6)  # !
def update_params(workload, params, global_step, rng):
    workload.model_fn(params, jax.random.PRNGKey(0))  # !
    train_step(workload, params, OTHER)
    step(workload, params, key=DEEP)
    workload.model_fn(params, made())
    def inner():
        rng = jax.random.PRNGKey(4)  # !
        return rng
    key, rng = jax.random.split(jax.random.key(5))  # !
    jax.random.normal(jax.random.fold_in(STEPS, global_step))
"""

OTHERS = """
import jax, torch
torch.manual_seed(0)  # !
torch.default_generator.manual_seed(0)  # !
torch.cuda.default_generators[0].manual_seed(0)  # !
torch.Generator().seed()  # !
optimizer_state["generator"].manual_seed(3)  # !
torch.default_generator.manual_seed(int(rng[0]))
torch.Generator().manual_seed(int(rng[0]))
def update_params(global_step):
    torch.Generator().manual_seed(global_step)  # !
    jax.random.key(global_step)  # !
"""


@pytest.mark.parametrize("text", [STARTS, IN_PLACE, OTHERS])
def test_a_constant_seed_is_a_fixed_start_unless_it_takes_the_place_of_rng(text, lines_found_by):
    lines = list(enumerate(text.splitlines(), 1))
    assert lines_found_by("randomness", text) == [n for n, line in lines if line.endswith("# !")]
    assert lines_found_by("fixed-numbers", text) == [n for n, line in lines if line.endswith("# ?")]
