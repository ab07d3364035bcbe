"""What ``import algoperf`` gives to an entry."""

from __future__ import annotations

import importlib

import jax
import numpy as np
import pytest
import torch

from harness import spec
from harness.compat import environment
from harness.compat.algoperf import data_utils, interop_utils, jax_sharding_utils, param_utils, pytorch_utils
from harness.entry import find_entry

MODULES = (
    "spec",
    "pytorch_utils",
    "jax_sharding_utils",
    "jax_utils",
    "param_utils",
    "random_utils",
    "data_utils",
    "interop_utils",
)


@pytest.fixture
def active(entries):
    def activate(name="jit_nadamw", framework="jax"):
        environment.activate(find_entry(str(entries / name)).conventions, framework)

    return activate


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_names_of_the_package_mean_the_same_modules(active, name):
    active()
    new, old = (importlib.import_module(f"{package}.{name}") for package in ("algoperf", "algorithmic_efficiency"))
    assert new is old
    assert getattr(importlib.import_module("algoperf"), name) is new


def test_enums_and_errors_are_the_harnesss_own(active):
    active()
    found = importlib.import_module("algorithmic_efficiency.spec")
    for name in ("ForwardPassMode", "LossType", "ParameterType", "ShapeTuple", "TrainingCompleteError", "Workload"):
        assert getattr(found, name) is getattr(spec, name)


def test_there_is_no_such_package_without_an_entry(active):
    active()
    environment.close()
    for package in ("algoperf", "algorithmic_efficiency"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(package)


def test_torch_is_set_up_as_one_process():
    ddp, rank, device, gpus = pytorch_utils.pytorch_setup()
    assert (ddp, rank, gpus) == (False, 0, torch.cuda.device_count())
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_running_statistics_are_stopped_and_let_go_on():
    layer = torch.nn.BatchNorm1d(2, momentum=0.3)
    for update, momentum in ((False, 0.0), (False, 0.0), (True, 0.3), (True, 0.3)):
        pytorch_utils.update_batch_norm_fn(layer, update)
        assert layer.momentum == momentum


def test_dropout_modules_take_their_rate_with_the_call():
    layers = pytorch_utils.SequentialWithDropout(torch.nn.Identity(), pytorch_utils.CustomDropout())
    x = torch.ones(1000)
    assert torch.equal(layers(x, 0.0), x)
    dropped = layers(x, 0.5)
    assert set(dropped.tolist()) == {0.0, 2.0}
    assert torch.equal(layers.eval()(x, 0.5), x)


def test_dropout_of_flax_takes_a_traced_rate():
    from harness.compat.algoperf.jax_utils import Dropout

    x, key = jax.numpy.ones(1000), jax.random.key(0)
    layer = Dropout(rate=0.1, deterministic=False)
    apply = jax.jit(lambda rate: layer.apply({}, x, rate=rate, rngs={"dropout": key}))
    assert float(apply(0.0).sum()) == 1000
    assert 350 < float((apply(0.5) > 0).sum()) < 650
    assert float(apply(0.5).max()) == 2
    assert float(Dropout(rate=0.5, deterministic=True).apply({}, x).sum()) == 1000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bn1.weight", "BATCH_NORM_SCALE"),
        ("layernorm.bias", "LAYER_NORM_BIAS"),
        ("conv.weight", "CONV_WEIGHT"),
        ("conv.bias", "BIAS"),
        ("embedding.weight", "EMBEDDING"),
        ("self_attn.in_proj_weight", "ATTENTION_QKV"),
        ("attn.q_proj.weight", "ATTENTION_Q"),
        ("attn.out_proj.weight", "ATTENTION_OUT"),
        ("attn.q_proj.bias", "ATTENTION_BIAS"),
        ("linear.weight", "WEIGHT"),
        ("linear.bias", "BIAS"),
    ],
)
def test_types_are_told_from_torch_names(name, expected):
    assert param_utils.pytorch_param_types({name: spec.ShapeTuple((1,))})[name].name == expected


def test_types_are_told_from_flax_names():
    shapes = {
        "Embed_0": {"embedding": 0},
        "BatchNorm_0": {"scale": 0, "bias": 0},
        "MultiHeadDotProductAttention_0": {"query": {"kernel": 0, "bias": 0}, "out": {"kernel": 0}},
        "Conv_0": {"kernel": 0},
        "Dense_0": {"kernel": 0, "bias": 0},
    }
    found = jax.tree.map(lambda leaf: leaf.name, param_utils.jax_param_types(shapes))
    assert found == {
        "embed_0": {"embedding": "EMBEDDING"},
        "batchnorm_0": {"scale": "BATCH_NORM_SCALE", "bias": "BATCH_NORM_BIAS"},
        "multiheaddotproductattention_0": {
            "query": {"kernel": "ATTENTION_Q", "bias": "ATTENTION_BIAS"},
            "out": {"kernel": "ATTENTION_OUT"},
        },
        "conv_0": {"kernel": "CONV_WEIGHT"},
        "dense_0": {"kernel": "WEIGHT", "bias": "BIAS"},
    }
    with pytest.raises(ValueError, match="bn_0/what says nothing about its type"):
        param_utils.jax_param_types({"bn_0": {"what": 0}})


def test_batches_are_padded_with_weights_of_zero_and_split_over_devices():
    batch = {"inputs": np.ones((3, 2)), "targets": np.ones(3)}
    padded = data_utils.shard_and_maybe_pad_np(batch, global_batch_size=4)
    assert padded["inputs"].shape == (4, 2)
    assert padded["weights"].tolist() == [1, 1, 1, 0]
    assert "weights" not in batch
    assert data_utils.shard_and_maybe_pad_np(batch).keys() == batch.keys()
    assert data_utils.shard(padded)["inputs"].shape == (1, 4, 2)
    with pytest.raises(ValueError, match="a batch of 3 is larger than global_batch_size 2"):
        data_utils.shard_and_maybe_pad_np(batch, global_batch_size=2)


def test_shardings_are_over_one_axis_called_batch():
    x = np.arange(4.0)
    for place, sharding in (
        (jax_sharding_utils.shard_along_batch_dim, jax_sharding_utils.get_batch_dim_sharding()),
        (jax_sharding_utils.replicate, jax_sharding_utils.get_replicate_sharding()),
    ):
        assert sharding.mesh.axis_names == ("batch",)
        assert place({"x": x})["x"].sharding == sharding


def test_tensors_pass_between_frameworks():
    x = torch.arange(6.0).reshape(2, 3)
    there = interop_utils.pytorch_to_jax(x)
    np.testing.assert_array_equal(there, x.numpy())
    assert torch.equal(interop_utils.jax_to_pytorch(there), x)


@pytest.mark.parametrize(("name", "framework"), [("jit_nadamw", "jax"), ("closure_sam", "torch")])
def test_random_keys_are_the_frameworks_own(active, name, framework):
    active(name, framework)
    from harness.compat.algoperf import random_utils

    key = random_utils.PRNGKey(3)
    again = random_utils.PRNGKey(3)
    assert np.array_equal(key, again)
    split = np.asarray(random_utils.split(key, 4))
    assert split.shape == (4, 2)
    assert len({tuple(row) for row in split.tolist()}) == 4
    folded = [tuple(np.asarray(random_utils.fold_in(key, n)).tolist()) for n in (0, 1)]
    assert folded[0] != folded[1]
    assert isinstance(key, jax.Array) == (framework == "jax")
