"""Initializers as pure functions, and through a real workload in both frameworks."""

from __future__ import annotations

import numpy as np
import pytest

from harness import frameworks
from harness.seeds import key_words
from harness.spec import Parameter, ParameterType
from submissions import components, composition
from workloads.init_laws import zeros

PARAMETERS = (
    Parameter("Embed_0.embedding", (10, 8), ParameterType.EMBEDDING, zeros),
    Parameter("Conv_0.kernel", (3, 3, 2, 12), ParameterType.CONV_WEIGHT, zeros),
    Parameter("Attention_0.query.kernel", (8, 2, 3), ParameterType.ATTENTION_Q, zeros),
    Parameter("Attention_0.out.kernel", (2, 3, 8), ParameterType.ATTENTION_OUT, zeros),
    Parameter("Attention_0.scale", (1,), ParameterType.WEIGHT, zeros),
    Parameter("Dense_0.kernel", (8, 20), ParameterType.WEIGHT, zeros),
    Parameter("Dense_0.bias", (20,), ParameterType.BIAS, zeros),
    Parameter("Dense_1.kernel", (20, 4), ParameterType.WEIGHT, zeros, is_output=True),
)
MATRICES = {
    "Conv_0.kernel": (18, 12),
    "Attention_0.query.kernel": (8, 6),
    "Attention_0.out.kernel": (6, 8),
    "Dense_0.kernel": (8, 20),
}


def no_forward_pass(values):
    raise AssertionError("no batch is needed")


def initialize(name, values, parameters=PARAMETERS, layer_outputs=no_forward_pass, seed=0, **settings):
    component = components.load("initializer", name)
    rng = np.random.RandomState(seed)
    return component.module.initialize(values, parameters, rng, layer_outputs, **{**component.defaults, **settings})


@pytest.fixture
def values():
    rng = np.random.RandomState(1)
    return {p.name: rng.standard_normal(p.shape).astype(np.float32) for p in PARAMETERS}


def test_default_returns_the_values_unchanged(values):
    assert initialize("default", values) is values


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal_kernels_have_equal_singular_values(values, gain):
    found = initialize("orthogonal", values, gain=gain)
    for name, shape in MATRICES.items():
        singular = np.linalg.svd(found[name].reshape(shape), compute_uv=False)
        np.testing.assert_allclose(singular, gain, atol=1e-5)
        assert found[name].dtype == np.float32 and found[name].shape == values[name].shape


def test_orthogonal_leaves_embeddings_output_layer_biases_and_scales_alone(values):
    found = initialize("orthogonal", values)
    assert list(found) == list(values)
    for name in set(values) - set(MATRICES):
        assert found[name] is values[name]


def test_orthogonal_is_uniform_over_the_group_and_obeys_the_seed():
    """Under the uniform law every entry has mean 0 and variance 1 / n; QR without its signs has a biased diagonal."""
    orthogonal_matrix = components.load("initializer", "orthogonal").module.orthogonal_matrix
    draws = np.array([orthogonal_matrix(np.random.RandomState(seed), 3, 3) for seed in range(2000)])
    assert np.abs(draws.mean(0)).max() < 5 * (1 / 3 / 2000) ** 0.5
    np.testing.assert_allclose(draws.var(0), 1 / 3, atol=0.04)
    assert (orthogonal_matrix(np.random.RandomState(5), 3, 3) == draws[5]).all()


def deep_outputs(values):
    """Three dense layers with tanh between, of which the middle one has a bias."""
    x = np.random.RandomState(2).standard_normal((64, 6)) * 3
    outputs = {}
    for layer in range(3):
        outputs[f"Dense_{layer}.kernel"] = y = x @ values[f"Dense_{layer}.kernel"] + (layer == 1)
        x = np.tanh(y)
    return outputs


DEEP = tuple(Parameter(f"Dense_{i}.kernel", (6, 6), ParameterType.WEIGHT, zeros, i == 2) for i in range(3))


def test_lsuv_gives_every_layer_unit_variance():
    start = {p.name: np.full(p.shape, 9, np.float32) for p in DEEP}
    found = initialize("lsuv", start, DEEP, deep_outputs)
    for name, output in deep_outputs(found).items():
        assert abs(output.var() - 1) <= 0.01
        gram = found[name].T @ found[name]
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(6), atol=1e-5)


def test_lsuv_stops_after_its_iterations():
    calls = []

    def growing(values):
        calls.append(1)
        return {"Dense_0.kernel": np.array([-1.0, 1.0]) * 2.0 ** len(calls)}

    initialize("lsuv", {"Dense_0.kernel": np.eye(6, dtype=np.float32)}, DEEP[:1], growing, max_iterations=3)
    assert len(calls) == 4


def test_lsuv_says_which_layer_has_no_variance():
    with pytest.raises(FloatingPointError, match=r"LSUV: the outputs of Dense_1\.kernel have variance 0\.0"):
        initialize(
            "lsuv",
            {p.name: np.eye(6, dtype=np.float32) for p in DEEP},
            DEEP,
            lambda values: {**deep_outputs(values), "Dense_1.kernel": np.ones(3)},
        )


def initialized(entry, framework, entry_data, mnist, queue):
    functions = composition.load(entry_data(entry), framework, defaults=True)
    backend, workload = frameworks.load(framework), mnist(framework)
    params, state = workload.init_model_fn(backend.random_key(key_words(0, 1)))
    before = workload.export_parameters(params)
    params, state = functions.init_model_params(
        workload, params, state, None, queue(framework), backend.random_key(key_words(0, 2))
    )
    return workload, params, state, before


@pytest.mark.parametrize("entry", ["lsuv_adamw", "orthogonal_adamw"])
def test_both_frameworks_get_the_same_initial_values(entry, entry_data, mnist, queue):
    pairs = [initialized(entry, framework, entry_data, mnist, queue) for framework in ("torch", "jax")]
    in_torch, in_jax = (workload.export_parameters(params) for workload, params, _, _ in pairs)
    for name, value in in_torch.items():
        np.testing.assert_allclose(value, in_jax[name], rtol=1e-5, atol=1e-6)
    kept = {name for name, value in in_torch.items() if (value == pairs[0][3][name]).all()}
    assert kept == {"Dense_0.bias", "Dense_1.bias"} | ({"Dense_1.kernel"} if entry == "orthogonal_adamw" else set())


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_lsuv_gives_unit_variance_on_a_real_workload(framework, entry_data, mnist, queue):
    workload, params, state, _ = initialized("lsuv_adamw", framework, entry_data, mnist, queue)
    outputs = workload.layer_outputs(params, state, next(queue(framework)))
    assert list(outputs) == ["Dense_0.kernel", "Dense_1.kernel"]
    for output in outputs.values():
        assert abs(output.var() - 1) <= 0.01
