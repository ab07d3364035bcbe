"""The workload as an entry sees it."""

import weakref

import jax
import numpy as np
import pytest

from harness.frameworks import load
from harness.view import WorkloadView
from harness.workloads import make_workload


@pytest.fixture
def view():
    return WorkloadView(make_workload("mnist").bind(load("jax")), pytest.fail)


@pytest.mark.parametrize("transform", [jax.jit, jax.checkpoint, jax.vmap], ids=lambda each: each.__name__)
def test_jax_transforms_its_methods(view, transform):
    """It keeps what it compiles by weak references to the function."""
    labels, logits = np.array([[1, 2, 3]]), np.linspace(-1.0, 1.0, 30, dtype=np.float32).reshape(1, 3, 10)
    one = (lambda a, b: (a, b)) if transform is jax.vmap else (lambda a, b: (a[0], b[0]))
    found = transform(view.loss_fn)(*one(labels, logits))["summed"]
    expected = view.loss_fn(labels[0], logits[0])["summed"]
    assert np.asarray(found).ravel() == pytest.approx([float(expected)], rel=1e-6)


def test_what_there_is_not_leads_nowhere(view):
    with pytest.raises(AttributeError, match="the workload has no attribute 'nothing'") as raised:
        view.nothing  # noqa: B018
    error = raised.value
    assert error.obj is view and error.__context__ is None and "mnist" not in repr(error).lower()
    with pytest.raises(TypeError):
        vars(view)


def test_weak_references_lead_nowhere(view):
    table = weakref.WeakKeyDictionary({view: 1, view.model_fn: 2})
    assert table[view] == 1 and table[view.model_fn] == 2
    table.clear()
    assert weakref.getweakrefs(view) == weakref.getweakrefs(view.model_fn) == []
