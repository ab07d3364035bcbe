"""librispeech_deepspeech: what its switches do, what dropout and paddings touch, and its numbers at both scales."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from harness.frameworks import load
from harness.spec import BASE, ForwardPassMode
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.workload import LibrispeechDeepspeech

KEY = np.array([0, 7], np.uint32)


@pytest.fixture(params=["torch", "jax"])
def framework(request):
    return request.param


def bound(framework, variant=BASE):
    return LibrispeechDeepspeech(variant).bind(load(framework))


@functools.cache
def forward(workload, mode):
    def run(params, batch, state, key, rate):
        return workload.model_fn(params, batch, state, mode, key, True, rate)[0]

    return jax.jit(run) if workload._bound.framework == "jax" else run


def logits_of(workload, batch, mode=ForwardPassMode.EVAL, rate=None, start=None, key=KEY):
    params, state = start or workload.init_model_fn(KEY)
    arrays = workload._bound.to_framework(batch)
    logits, paddings = forward(workload, mode)(params, arrays, state, key, rate)
    if workload._bound.framework == "torch":
        return logits.detach().numpy(), paddings.numpy()
    return np.asarray(logits), np.asarray(paddings)


def test_an_utterance_is_transcribed_the_same_in_any_company(framework, small_batch):
    """Neither the others of a batch nor what lies behind its end changes an utterance's logits in evaluation."""
    workload = bound(framework)
    batch = small_batch(workload, 4)
    audio, paddings = batch["inputs"]
    noise = np.random.RandomState(0).standard_normal(audio.shape).astype(np.float32)
    together, logit_paddings = logits_of(workload, {**batch, "inputs": (audio + 9_000 * noise * paddings, paddings)})
    assert 0 < logit_paddings.sum() < logit_paddings.size
    for row in range(4):
        alone, _ = logits_of(workload, {"inputs": (audio[row : row + 1], paddings[row : row + 1])})
        kept = logit_paddings[row] == 0
        np.testing.assert_allclose(together[row, kept], alone[0, kept], atol=1e-4)


def test_every_output_hears_the_whole_utterance(small_batch):
    workload = bound("torch")
    batch = small_batch(workload, 1)
    audio, paddings = batch["inputs"]
    changed = audio.copy()
    samples = int((paddings == 0).sum())
    changed[:, samples // 2 : samples // 2 + 800] += 3_000
    (before, kept), (after, _) = (logits_of(workload, {"inputs": (x, paddings)}) for x in (audio, changed))
    assert (np.abs(after - before)[kept == 0].max(axis=-1) > 0).all()


def test_dropout_acts_in_training_only_and_at_the_rate_asked_for(framework, small_batch):
    workload = bound(framework, "norm_and_spec_aug")  # no statistics of the batch, so that both modes agree without
    batch = {"inputs": small_batch(workload, 2)["inputs"]}
    start = workload.init_model_fn(KEY)
    plain, _ = logits_of(workload, batch, start=start)
    without, _ = logits_of(workload, batch, ForwardPassMode.TRAIN, 0.0, start)
    np.testing.assert_allclose(without, plain, atol=1e-5)
    little, much = (
        np.abs(logits_of(workload, batch, ForwardPassMode.TRAIN, rate, start)[0] - plain).mean() for rate in (0.02, 0.5)
    )
    assert 0 < little < much / 2


def test_dropout_rate_may_be_traced(small_batch):
    workload = bound("jax")
    batch = small_batch(workload, 2)
    params, state = workload.init_model_fn(KEY)

    def mean(rate):
        (logits, _), _ = workload.model_fn(params, batch, state, ForwardPassMode.TRAIN, KEY, True, rate)
        return abs(logits).mean()

    assert jax.eval_shape(mean, 0.3).shape == ()


def test_without_residuals_a_layer_of_zeros_silences_the_network(framework, small_batch):
    """With them the input still comes through."""
    for variant, silent in (("no_resnet", True), (BASE, False)):
        workload = bound(framework, variant)
        params, state = workload.init_model_fn(KEY)
        layer = Architecture.of(workload.model_config).feed_forward_layers[0]
        zero = {p.name: np.zeros(p.shape) for p in workload.parameters() if p.name.startswith(f"{layer}.Dense_0")}
        params = workload.import_parameters(params, zero)
        logits, _ = logits_of(workload, small_batch(workload, 2), start=(params, state))
        assert (logits == 0).all() == silent


@pytest.mark.parametrize(
    ("scale", "variant", "masks"),
    [
        ("mini", BASE, (2, 3)),
        ("mini", "norm_and_spec_aug", (4, 5)),
        ("full", "tanh", (2, 10)),
        ("full", "norm_and_spec_aug", (4, 15)),
    ],
)
def test_masks_of_specaugment(scale, variant, masks):
    workload = LibrispeechDeepspeech(variant, scale)
    batch = workload.augment({"lengths": np.array([9_000, 4_000])}, np.random.RandomState(0))
    assert (batch["frequency_masks"].shape, batch["time_masks"].shape) == ((2, masks[0], 2), (2, masks[1], 2))


def test_statistics_are_those_of_batch_normalisation(small_batch):
    names = [s.name for s in LibrispeechDeepspeech().statistics()]
    assert names[:2] == ["Recurrent_0.BatchNorm_0.mean", "Recurrent_0.BatchNorm_0.var"] and len(names) == 8
    assert len(LibrispeechDeepspeech(BASE, "full").statistics()) == 18
    workload = LibrispeechDeepspeech("norm_and_spec_aug").bind(load("jax"))
    assert workload.statistics() == [] and workload.init_model_fn(KEY)[1] is None


def test_recurrent_kernels_are_drawn_as_declared():
    workload = bound("torch")
    values = workload.export_parameters(workload.init_model_fn(KEY)[0])
    kernel = values["Recurrent_1.LSTM_0.Backward.hf.kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(32), atol=1e-5)
    assert not values["Recurrent_1.LSTM_0.Backward.hf.bias"].any()
    inward = values["Recurrent_1.LSTM_0.Forward.ig.kernel"]
    assert inward.std() == pytest.approx((1 / 64) ** 0.5, rel=0.1)
