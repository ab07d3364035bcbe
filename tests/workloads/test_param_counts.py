"""Sizes at full scale of every workload and variant: the built models against the declarations and AlgoPerf's counts.

Nothing is allocated: torch builds on the meta device, jax by ``jax.eval_shape``. The counts are those of AlgoPerf's jax
versions, which keep apart what some of its torch versions fuse.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from harness.frameworks import load
from harness.frameworks.jax import nest
from harness.listing import list_workloads
from harness.spec import ForwardPassMode

COUNTS = Path(__file__).parents[2].parent / "shared" / "param_counts.json"


@pytest.fixture
def counts(workload_class, name, variant):
    """AlgoPerf's sizes of a workload and variant."""
    if not COUNTS.exists():
        pytest.skip("AlgoPerf's parameter counts are not beside this checkout")
    full_name = workload_class(name)(variant, "full").full_name
    found = json.loads(COUNTS.read_text())
    if full_name not in found:
        assert name in found
        pytest.skip(f"AlgoPerf has no {full_name}")
    return found[full_name]["jax"]


@pytest.fixture
def torch_model(workload_class, name, variant):
    with torch.device("meta"):
        return load("torch").build_model(workload_class(name)(variant, "full"))


def size(leaves):
    return sum(math.prod(leaf.shape) for leaf in leaves), len(leaves)


def test_torch_has_algoperfs_size(counts, torch_model):
    assert size(list(torch_model.parameters())) == (counts["params"], counts["tensors"])
    running = [b for name, b in torch_model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert size(running)[0] == counts["model_state"]


def test_torch_has_the_declared_parameters(torch_model, workload_class, name, variant):
    workload = workload_class(name)(variant, "full").bind(load("torch"))
    declared = {key: tuple(shape.shape_tuple) for key, shape in workload.param_shapes.items()}
    assert {key: tuple(value.shape) for key, value in torch_model.named_parameters()} == declared


def test_jax_has_algoperfs_size(counts, workload_class, name, variant):
    params, state = jax_shapes(workload_class(name)(variant, "full"))
    assert size(jax.tree.leaves(params)) == (counts["params"], counts["tensors"])
    assert size(jax.tree.leaves(state))[0] == counts["model_state"]


def test_jax_uses_every_declared_parameter_and_no_other(workload_class, full_batch, name, variant):
    """A model that took an undeclared parameter would raise KeyError; what it leaves unused, no equation reads."""
    workload = workload_class(name)(variant, "full").bind(load("jax"))
    params, state = jax_shapes(workload)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), full_batch(workload))

    def forward(params, state, batch):
        return workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, jax.random.key(0), True)

    jaxpr = jax.make_jaxpr(forward)(params, state, batch).jaxpr
    read = {var for equation in jaxpr.eqns for var in equation.invars if not hasattr(var, "val")}
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    leaves = jaxpr.invars[: len(paths)]
    assert [path for path, var in zip(paths, leaves, strict=True) if var not in read] == []


def jax_shapes(workload):
    """Trees of shapes: parameters and model state."""
    params = nest({p.name: jax.ShapeDtypeStruct(p.shape, np.float32) for p in workload.parameters()})
    statistics = getattr(workload, "statistics", tuple)()
    stats = nest({s.name: jax.ShapeDtypeStruct(s.shape, np.float32) for s in statistics})
    return params, {"batch_stats": stats} if stats else None


def test_the_list_shows_these_sizes():
    """``timetrial list workloads --scale full``, whose numbers come from the declarations."""
    rows = {row["workload"]: row for row in list_workloads("full")}
    assert rows["criteo1tb_layernorm"]["parameters"] == 539_275_137
    assert rows["criteo1tb_layernorm"]["tensors"] == 33
    assert rows["ogbg"] == {
        "workload": "ogbg",
        "metric": "mean_average_precision",
        "direction": "maximize",
        "validation_target": 0.28098,
        "test_target": 0.268729,
        "parameters": 3_554_176,
        "tensors": 66,
        "batch_size": 512,
        "step_hint": 52_000,
        "budget_sec": 11_303.0,
        "frameworks": ["torch", "jax"],
        "summary": "properties of molecules, graph network",
    }
