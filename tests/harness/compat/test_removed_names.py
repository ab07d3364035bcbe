"""Names that libraries have dropped are there for entries, and for nobody else."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax  # noqa: F401  (its names are looked for)
import pytest
import torch

from harness.compat import removed_names, rewriting
from harness.compat.patching import Patches, has

USES = frozenset({"jax", "optax", "numpy"})


@pytest.fixture
def restored():
    with Patches() as patches:
        removed_names.restore(patches, USES)
        yield


def absent():
    table = removed_names.RENAMED.items()
    return {(module, old) for module, names in table for old in names if not has(sys.modules[module], old)}


def test_names_are_there_while_an_entry_runs_and_gone_after():
    before = absent()
    assert before
    clip, pmap = jnp.clip, jax.pmap
    with Patches() as patches:
        removed_names.restore(patches, USES)
        assert jax.tree_map(lambda x, y: x + y, {"a": 1}, {"a": 2}) == {"a": 3}
        assert jax.tree_leaves({"a": 1}) == [1]
        assert np.float_ is np.float64
    assert not hasattr(jax, "tree_map")
    assert not hasattr(np, "float_")
    assert (jnp.clip, jax.pmap) == (clip, pmap)
    assert absent() == before


def test_only_the_libraries_that_an_entry_uses_are_touched():
    with Patches() as patches:
        removed_names.restore(patches, frozenset({"torch"}))
        assert not hasattr(jax, "tree_map")
        assert not hasattr(np, "float_")


@pytest.mark.parametrize(("module", "old", "meaning"), [
    (module, old, meaning) for module, names in removed_names.RENAMED.items() for old, meaning in names.items()
])  # fmt: skip
def test_every_name_of_the_table_is_there(restored, module, old, meaning):
    assert getattr(sys.modules[module], old) is not None


def test_clip_takes_old_and_new_arguments(restored):
    x = jnp.array([-2.0, 0.5, 3.0])
    expected = np.array([0.0, 0.5, 1.0])
    for found in (
        jnp.clip(x, 0, 1),
        jnp.clip(x, a_min=0, a_max=1),
        jnp.clip(a=x, a_min=0, a_max=1),
        jnp.clip(x, min=0, max=1),
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jnp.clip(x, a_min=0), [0.0, 0.5, 3.0])


def test_moved_modules_can_be_imported(restored):
    from jax.config import config
    from jax.lib import xla_bridge

    assert config is jax.config
    assert xla_bridge.get_backend().platform == jax.default_backend()


def test_pmap_takes_forgotten_axes_for_none(restored):
    step = jax.pmap(lambda x, rate: x * rate, in_axes=(0,))
    np.testing.assert_array_equal(step(jnp.ones((1, 3)), 2.0), np.full((1, 3), 2.0))


def test_a_pmap_of_our_own_does_what_jax_does():
    def step(scale, x, shift):
        total = jax.lax.psum(x, "batch")
        return total * scale(2.0) + shift, jax.lax.axis_index("batch")

    arguments = ((lambda x: x + 1), jnp.arange(6.0).reshape(1, 6), 1.0)
    options = {"axis_name": "batch", "in_axes": (None, 0, None), "static_broadcasted_argnums": (0,)}
    for ours, theirs in zip(
        removed_names.one_device_pmap(step, **options)(*arguments), jax.pmap(step, **options)(*arguments), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("torch.zeros(1, device='cuda')", "torch.zeros(1, device='cpu')"),
        ("torch.device('cuda', rank)", "torch.device('cpu', rank)"),
        ("x.to(f'cuda:{rank}')", "x.to('cpu')"),
        ("def f(device='cuda:0'): pass", "def f(device='cpu'):\n    pass"),
        ("x.device.type == 'cuda'", "x.device.type == 'cuda'"),
        ("options['cuda']", "options['cuda']"),
        ("{'cuda': 'cuda'}", "{'cuda': 'cpu'}"),
        ("log('cuda is there')", "log('cuda is there')"),
        ("Config(num_trainers_per_group=8)", "Config(num_trainers_per_group=1)"),
        ("Config(num_trainers_per_group=n)", "Config(num_trainers_per_group=n)"),
    ],
)
def test_literals_that_mean_gpus_are_rewritten(source, becomes):
    import ast

    assert ast.unparse(rewriting.Rewriter("cpu").visit(ast.parse(source))) == becomes


def test_running_statistics_stay_when_they_are_not_to_be_updated():
    from harness.frameworks.torch import frozen_statistics

    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3, momentum=None))
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) + 5
    model(x)
    kept = [layer.running_mean.clone() for layer in model]
    with frozen_statistics(model):
        normalised = model(2 * x)
    assert normalised.mean(0).abs().max() < 1e-5  # a batch's own statistics are used
    for layer, before in zip(model, kept, strict=True):
        assert torch.equal(layer.running_mean, before)
    model(2 * x)
    assert not torch.equal(model[0].running_mean, kept[0])
