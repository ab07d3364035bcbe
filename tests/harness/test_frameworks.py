"""The two backends against closed forms in numpy, and against each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp

from harness.data import evaluation_batches
from harness.frameworks import load
from harness.frameworks.torch import from_torch_layout, to_torch_layout, torch_name
from harness.spec import FRAMEWORKS, ForwardPassMode, LossType, Parameter, ParameterType, WorkloadError
from harness.workloads import make_workload

CASES = {
    "classes": (LossType.SOFTMAX_CROSS_ENTROPY, (5, 3), (5,), "class"),
    "tokens": (LossType.SOFTMAX_CROSS_ENTROPY, (4, 6, 3), (4, 6), "class"),
    "probabilities": (LossType.SOFTMAX_CROSS_ENTROPY, (5, 3), (5, 3), "simplex"),
    "binary": (LossType.SIGMOID_CROSS_ENTROPY, (5, 1), (5, 1), "bit"),
    "squared": (LossType.MEAN_SQUARED_ERROR, (5, 2, 2), (5, 2, 2), "real"),
    "absolute": (LossType.MEAN_ABSOLUTE_ERROR, (5, 2, 2), (5, 2, 2), "real"),
}


def draw(random, shape, kind):
    if kind == "class":
        return random.randint(0, 3, shape).astype(np.int32)
    if kind == "bit":
        return random.randint(0, 2, shape).astype(np.float32)
    values = random.standard_normal(shape).astype(np.float32)
    return np.exp(log_softmax(values, -1)) if kind == "simplex" else values


def closed_form(loss_type, labels, logits, smoothing):
    if loss_type is LossType.SOFTMAX_CROSS_ENTROPY:
        classes = logits.shape[-1]
        p = labels if labels.ndim == logits.ndim else np.eye(classes)[labels]
        return -(((1 - smoothing) * p + smoothing / classes) * log_softmax(logits, -1)).sum(-1)
    if loss_type is LossType.SIGMOID_CROSS_ENTROPY:
        return logsumexp(np.stack([np.zeros_like(logits), logits]), axis=0) - labels * logits
    difference = (logits - labels).reshape(len(labels), -1)
    return (difference**2 if loss_type is LossType.MEAN_SQUARED_ERROR else abs(difference)).mean(1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_losses_equal_their_closed_forms(framework, case, smoothing, masked):
    loss_type, logits_shape, labels_shape, kind = CASES[case]
    random = np.random.RandomState(0)
    logits = random.standard_normal(logits_shape).astype(np.float32)
    labels = draw(random, labels_shape, kind)
    mask = np.array([1, 0, 1, 1, 0][: labels_shape[0]], np.float32)
    backend = load(framework)
    placed = backend.to_framework({"logits": logits, "labels": labels, "mask": mask})
    found = backend.loss(loss_type, placed["labels"], placed["logits"], placed["mask"] if masked else None, smoothing)
    expected = closed_form(loss_type, labels, logits.astype(np.float64), smoothing)
    weights = np.ones_like(expected)
    if masked:
        weights = weights * mask.reshape((-1,) + (1,) * (expected.ndim - 1))
    np.testing.assert_allclose(np.asarray(found["per_example"]), expected * weights, rtol=1e-5, atol=1e-6)
    assert float(found["summed"]) == pytest.approx((expected * weights).sum(), rel=1e-5)
    assert float(found["n_valid_examples"]) == weights.sum()


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_layouts_are_inverse_and_put_outputs_first(height, width, inputs, outputs):
    kernel = np.arange(height * width * inputs * outputs).reshape(height, width, inputs, outputs)
    conv = Parameter("Conv_0.kernel", kernel.shape, ParameterType.CONV_WEIGHT, lambda r, s: np.zeros(s))
    assert to_torch_layout(conv, kernel).shape == (outputs, inputs, height, width)
    np.testing.assert_array_equal(from_torch_layout(conv, to_torch_layout(conv, kernel)), kernel)
    dense = Parameter("Dense_0.kernel", (height, width), ParameterType.WEIGHT, lambda r, s: np.zeros(s))
    assert to_torch_layout(dense, kernel[..., 0, 0]).shape == (width, height)


def test_torch_names_replace_the_leaf_only():
    names = {"Dense_0.kernel": "Dense_0.weight", "Embed_0.embedding": "Embed_0.weight", "scale": "weight",
             "LayerNorm_0.scale": "LayerNorm_0.weight", "Dense_0.bias": "Dense_0.bias"}  # fmt: skip
    for declared, expected in names.items():
        assert torch_name(Parameter(declared, (1,), ParameterType.WEIGHT, lambda r, s: np.zeros(s))) == expected


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_evaluation_does_not_depend_on_the_batches(framework):
    workload = make_workload("mnist").bind(load(framework))
    params, state = workload.init_model_fn(workload._bound.random_key(np.array([1, 2], np.uint32)))
    arrays = {name: np.asarray(array)[:130] for name, array in workload.load_split("validation").items()}
    results = []
    for size in (130, 64, 7):
        batches = evaluation_batches(arrays, size)
        results.append(workload.evaluate(workload._bound.evaluated(workload, params, state, batches)))
    for other in results[1:]:
        assert other == pytest.approx(results[0], rel=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_workload_offers_what_submissions_touch(framework):
    backend = load(framework)
    workload = make_workload("mnist").bind(backend)
    output = {"torch": ["Dense_1.weight", "Dense_1"], "jax": ["Dense_1.kernel", "Dense_1"]}[framework]
    hidden = {"torch": "Dense_0.weight", "jax": "Dense_0.kernel"}[framework]
    assert all(workload.is_output_params(key) for key in output) and not workload.is_output_params(hidden)
    assert workload.step_hint >= 200 and workload.num_train_examples == 10_000
    assert {workload: 1}[workload] == 1, "hashable by identity: jax entries pass it as a static argument"
    batch = backend.to_framework({name: np.array(array[:4]) for name, array in workload.load_split("train").items()})
    key = backend.random_key(np.array([3, 4], np.uint32))
    params, state = workload.init_model_fn(key)
    logits, state = workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, key, True, dropout_rate=0.0)
    assert tuple(logits.shape) == (4, 10)
    assert set(workload.loss_fn(batch["targets"], logits)) == {"summed", "n_valid_examples", "per_example"}
    assert workload.has_reached_validation_target({"validation/accuracy": 1.0})
    assert not workload.has_reached_validation_target({"validation/accuracy": float("nan")})


def evaluated_digits(framework, wrap=lambda params: params):
    """Three batches of mnist, evaluated."""
    workload = make_workload("mnist").bind(load(framework))
    params, state = workload.init_model_fn(workload._bound.random_key(np.array([1, 2], np.uint32)))
    arrays = {name: np.asarray(array)[:12] for name, array in workload.load_split("validation").items()}
    return workload._bound.evaluated(workload, wrap(params), state, evaluation_batches(arrays, 4))


@pytest.fixture
def decoding(monkeypatch):
    """Gives both models of mnist a decoding function, the likeliest class; the list of calls (in jax: of traces)."""
    from workloads.mnist import model_jax, model_torch

    calls = []

    def torch_decode(self, batch):
        calls.append(self.training)
        return self(batch, 0.0).argmax(-1)

    def jax_decode(config, params, model_state, batch):
        calls.append(False)
        options = {"train": False, "rng": None, "dropout_rate": 0.0, "update_batch_norm": False}
        return model_jax.apply(config, params, model_state, batch, **options)[0].argmax(-1)

    monkeypatch.setattr(model_torch.Model, "decode", torch_decode, raising=False)
    monkeypatch.setattr(model_jax, "decode", jax_decode, raising=False)
    return calls


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_decoding_runs_when_asked_in_evaluation_mode_and_compiles_once(framework, decoding):
    assert len(list(evaluated_digits(framework))) == 3
    assert not decoding
    for batch in evaluated_digits(framework):
        decoded = batch.fetch_decoded()
        assert isinstance(decoded, np.ndarray)
        np.testing.assert_array_equal(decoded, batch.fetch_logits().argmax(-1))
    assert decoding == [False] * {"torch": 3, "jax": 1}[framework]


def test_a_wrapped_model_decodes(decoding):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, batch, dropout_rate):
            return self.module(batch, dropout_rate)

    assert [len(batch.fetch_decoded()) for batch in evaluated_digits("torch", Wrapper)] == [4, 4, 4]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_that_cannot_decode_is_named(framework):
    with pytest.raises(WorkloadError, match=f"workloads.mnist.model_{framework}.* has no .* decode"):
        next(evaluated_digits(framework)).fetch_decoded()
