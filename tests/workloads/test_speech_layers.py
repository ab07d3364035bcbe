"""Front end, SpecAugment, subsampling and normalisation, against numpy and scipy and across frameworks."""

from __future__ import annotations

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import torch

from harness.frameworks.torch import frozen_statistics
from workloads.layers_jax import Scope, Statistics
from workloads.speech import layers_jax, layers_torch
from workloads.speech.base import FULL_MODEL, MINI_MODEL
from workloads.speech.declared import BATCH_NORM_EPS, LAYER_NORM_EPS, subsample
from workloads.speech.front_end import FrontEnd

MINI = FrontEnd.of(MINI_MODEL)
FULL = dataclasses.replace(FrontEnd.of(FULL_MODEL), samples=24_000)


def both(torch_function, jax_function, *arrays):
    """Results in double precision of one function in torch and in jax, as numpy."""
    with torch.no_grad():
        found = torch_function(*map(torch.as_tensor, arrays))
    with jax.enable_x64(True):
        expected = jax_function(*map(jnp.asarray, arrays))
        expected = jax.tree.map(np.asarray, expected)
    return jax.tree.map(lambda tensor: tensor.numpy(), found), expected


def audio_and_paddings(end, lengths, seed=0):
    random = np.random.RandomState(seed)
    audio = np.rint(3_000 * random.standard_normal((len(lengths), end.samples)))
    return audio, (np.arange(end.samples) >= np.array(lengths)[:, None]).astype(np.float64)


# ---- log-mel front end ----


def mel_points(hertz):
    return 2595.0 * np.log10(1.0 + hertz / 700.0)


def reference_log_mel(end, audio):
    """One frame and one band at a time; the mel scale, which is linear in ours, in its other usual form."""
    size, hop = round(0.025 * end.sample_rate), round(0.01 * end.sample_rate)
    window = scipy.signal.get_window("hann", size, fftbins=True)
    edges = np.linspace(mel_points(end.lowest), mel_points(end.highest), end.bins + 2)
    transform = 512 if size == 400 else 256
    at = mel_points(np.fft.rfftfreq(transform, 1 / end.sample_rate))
    rows = []
    for start in range(0, len(audio) - size, hop):
        frame = audio[start : start + size] / 32_768.0
        emphasised = np.append(frame[0] * (1 - 0.97), scipy.signal.lfilter([1, -0.97], [1], frame)[1:])
        power = np.abs(np.fft.rfft(emphasised * window, transform)) ** 2
        power[0] = 0.0  # HTK leaves out the constant
        bands = [power @ np.interp(at, edges[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(end.bins)]
        rows.append(np.log(np.maximum(bands, 1e-5)))
    return (np.array(rows) - end.mean) / end.stddev


@pytest.mark.parametrize("end", [MINI, FULL], ids=["mini", "full"])
def test_log_mel_features_are_those_of_numpy_and_scipy_in_both_frameworks(end):
    lengths = [end.samples, end.samples // 3 + 7]
    audio, paddings = audio_and_paddings(end, lengths)
    (found, found_paddings), (expected, expected_paddings) = both(
        lambda a, p: layers_torch.log_mel(end, a, p), lambda a, p: layers_jax.log_mel(end, a, p), audio, paddings
    )
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found_paddings, expected_paddings)
    reference = [reference_log_mel(end, row) for row in audio * (1 - paddings)]
    np.testing.assert_allclose(found, reference, rtol=0, atol=1e-9)


def test_full_scale_has_algoperfs_frames_and_transform():
    end = FrontEnd.of(FULL_MODEL)
    assert (end.frame, end.hop, end.fft, end.frames, end.mel.shape) == (400, 160, 512, 1_998, (257, 80))
    assert len(end.mean) == len(end.stddev) == 80


@pytest.mark.parametrize("length", [1, 79, 80, 81, 4_000, 11_799, 12_000])
def test_a_frame_is_padding_when_all_of_it_is(length):
    audio, paddings = audio_and_paddings(MINI, [length])
    _, found = layers_torch.log_mel(MINI, torch.tensor(audio), torch.tensor(paddings))
    windows = np.lib.stride_tricks.sliding_window_view(paddings[0], MINI.frame + 1)[:: MINI.hop]
    np.testing.assert_array_equal(found[0], windows.min(axis=1))
    assert (found == 0).sum() == MINI.frames_of(np.array([length]))[0]


def test_what_lies_in_the_padding_does_not_matter():
    audio, paddings = audio_and_paddings(MINI, [5_000])
    louder = np.where(paddings == 1, 20_000.0, audio)
    features = [layers_torch.log_mel(MINI, torch.tensor(a), torch.tensor(paddings))[0] for a in (audio, louder)]
    assert torch.equal(*features)


# ---- SpecAugment ----


def test_masks_hide_the_same_in_both_frameworks():
    features = np.random.RandomState(0).standard_normal((2, 12, 6))
    masks = {
        "time_masks": np.array([[[2, 4], [3, 7]], [[0, 0], [11, 12]]]),
        "frequency_masks": np.array([[[5, 6]], [[1, 1]]]),
    }
    found, expected = both(
        lambda f, t, b: layers_torch.spec_augment(f, {"time_masks": t, "frequency_masks": b}),
        lambda f, t, b: layers_jax.spec_augment(f, {"time_masks": t, "frequency_masks": b}),
        features,
        *masks.values(),
    )
    hidden = features.copy()
    hidden[0, 2:7] = hidden[0, :, 5] = hidden[1, 11] = 0
    np.testing.assert_array_equal(found, hidden)
    np.testing.assert_array_equal(expected, hidden)


def test_masks_are_applied_in_training_only():
    audio, paddings = (array.astype(np.float32) for array in audio_and_paddings(MINI, [9_000]))
    masks = {"time_masks": np.array([[[3, 9]]]), "frequency_masks": np.array([[[0, 2]]])}
    tensors = {"inputs": (torch.tensor(audio), torch.tensor(paddings))}
    tensors |= {name: torch.tensor(mask) for name, mask in masks.items()}
    layer = layers_torch.Features(MINI)
    plain, masked = layer.eval()(tensors)[0], layer.train()(tensors)[0]
    assert torch.equal(plain, layers_torch.log_mel(MINI, *tensors["inputs"])[0])
    assert not masked[:, 3:9].any() and not masked[..., :2].any()
    assert torch.equal(masked[:, 9:, 2:], plain[:, 9:, 2:])
    for train, expected in ((False, plain), (True, masked)):
        found = layers_jax.features_of(MINI, {"inputs": (audio, paddings), **masks}, train=train)[0]
        np.testing.assert_allclose(found, expected, atol=1e-4)


# ---- subsampling ----


def subsampling_weights(bins, width):
    random = np.random.RandomState(1)
    return {p.name.removeprefix("s."): random.standard_normal(p.shape) for p in subsample("s", bins, width)}


def reference_conv(x, kernel, bias):
    """``[T, F, in]``, one output at a time; XLA's padding: what is missing for half of the size, more of it behind."""
    sizes = [-(-n // 2) for n in x.shape[:2]]
    missing = [(out - 1) * 2 + 3 - n for out, n in zip(sizes, x.shape[:2], strict=True)]
    x = np.pad(x, [(m // 2, m - m // 2) for m in missing] + [(0, 0)])
    rows = [
        [np.einsum("tfi,tfio->o", x[2 * t : 2 * t + 3, 2 * f : 2 * f + 3], kernel) + bias for f in range(sizes[1])]
        for t in range(sizes[0])
    ]
    return np.array(rows)


@pytest.mark.parametrize(("frames", "bins"), [(16, 8), (15, 7), (13, 10)])
def test_subsampling_is_two_strided_convolutions_with_zeroed_padding(frames, bins):
    width, weights = 5, subsampling_weights(bins, 5)
    features = np.random.RandomState(2).standard_normal((2, frames, bins))
    paddings = (np.arange(frames) >= np.array([[frames], [7]])).astype(np.float64)
    layer = layers_torch.Subsample(bins, width, torch.relu).double()
    with torch.no_grad():
        for name, tensor in layer.named_parameters():
            value = weights[name.replace("weight", "kernel")]
            tensor.copy_(torch.tensor(np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim > 1 else value))

    def in_jax(features, paddings):
        tree = {}
        for name, value in weights.items():
            layer, leaf = name.split(".")
            tree.setdefault(layer, {})[leaf] = jnp.asarray(value)
        return layers_jax.subsample(Scope(tree), features, paddings, jax.nn.relu)

    (found, found_paddings), (expected, expected_paddings) = both(layer, in_jax, features, paddings)
    reference = []
    for row, padding in zip(features, paddings, strict=True):
        x = row[..., None]
        for conv in ("Conv_0", "Conv_1"):
            padding = padding[::2]
            x = np.maximum(0, reference_conv(x, weights[f"{conv}.kernel"], weights[f"{conv}.bias"]))
            x[padding == 1] = 0
        reference.append(x.reshape(len(x), -1) @ weights["Dense_0.kernel"] + weights["Dense_0.bias"])
    np.testing.assert_allclose(found, reference, atol=1e-9)
    np.testing.assert_allclose(expected, reference, atol=1e-9)
    assert found_paddings.tolist() == expected_paddings.tolist()
    assert (found_paddings == 0).sum(axis=1).tolist() == [-(-frames // 4), 2]


# ---- normalisation ----


def masked_input():
    random = np.random.RandomState(3)
    x = 2 + 3 * random.standard_normal((3, 9, 4))
    mask = (np.arange(9) < np.array([[9], [4], [6]])).astype(np.float64)[..., None]
    return x, mask, random.standard_normal(4), random.standard_normal(4)


def batch_norms(x, mask, scale, bias, running, *, train, update=True):
    """Output and running statistics of the layers in torch and in jax, which keep 3/4 of what was there before."""
    layer = layers_torch.MaskedBatchNorm(4, 0.75).double().train(train)
    state = {"batch_stats": {"BatchNorm_0": {name: jnp.asarray(value) for name, value in running.items()}}}
    with torch.no_grad():
        for place, value in (
            (layer.weight, scale),
            (layer.bias, bias),
            (layer.running_mean, running["mean"]),
            (layer.running_var, running["var"]),
        ):
            place.copy_(torch.tensor(value))
        with contextlib.nullcontext() if update else frozen_statistics(layer):
            in_torch = layer(torch.tensor(x), torch.tensor(mask)).numpy()
    statistics = Statistics(state, train=train, update=update)
    scope = Scope({"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}, "BatchNorm_0.")
    in_jax = layers_jax.masked_batch_norm(scope, statistics, jnp.asarray(x), jnp.asarray(mask), 0.75)
    kept = statistics.state()["batch_stats"]["BatchNorm_0"]
    return [(in_torch, layer.running_mean, layer.running_var), (in_jax, kept["mean"], kept["var"])]


RUNNING = {"mean": np.array([1.5, 0, -1, 2]), "var": np.array([4.0, 1, 0.5, 2])}


@pytest.mark.parametrize("update", [True, False])
def test_batch_norm_takes_biased_statistics_of_the_unpadded_frames(update):
    x, mask, scale, bias = masked_input()
    real = x[mask[..., 0] == 1]
    expected = ((x - real.mean(0)) / np.sqrt(real.var(0) + BATCH_NORM_EPS) * (1 + scale) + bias) * mask
    taken = 0.25 if update else 0.0
    with jax.enable_x64(True):
        for found, mean, variance in batch_norms(x, mask, scale, bias, RUNNING, train=True, update=update):
            np.testing.assert_allclose(found, expected, atol=1e-12)
            np.testing.assert_allclose(mean, (1 - taken) * RUNNING["mean"] + taken * real.mean(0), atol=1e-12)
            np.testing.assert_allclose(variance, (1 - taken) * RUNNING["var"] + taken * real.var(0), atol=1e-12)


def test_batch_norm_in_evaluation_uses_the_running_statistics_and_keeps_them():
    x, mask, scale, bias = masked_input()
    deviation = np.sqrt(RUNNING["var"] + BATCH_NORM_EPS)
    expected = ((x - RUNNING["mean"]) / deviation * (1 + scale) + bias) * mask
    with jax.enable_x64(True):
        for found, mean, variance in batch_norms(x, mask, scale, bias, RUNNING, train=False):
            np.testing.assert_allclose(found, expected, atol=1e-12)
            np.testing.assert_array_equal(mean, RUNNING["mean"])
            np.testing.assert_array_equal(variance, RUNNING["var"])


def test_layer_norm_multiplies_by_one_plus_its_scale():
    x, _, scale, bias = masked_input()
    layer = layers_torch.OffsetLayerNorm(4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(scale))
        layer.bias.copy_(torch.tensor(bias))

    def in_jax(x):
        return layers_jax.offset_layer_norm(Scope({"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}), x)

    found, expected = both(layer, in_jax, x)
    deviation = np.sqrt(x.var(-1, keepdims=True) + LAYER_NORM_EPS)
    reference = (x - x.mean(-1, keepdims=True)) / deviation * (1 + scale) + bias
    np.testing.assert_allclose(found, reference, atol=1e-12)
    np.testing.assert_allclose(expected, reference, atol=1e-12)
