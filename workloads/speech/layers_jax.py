"""Layers of the speech models in jax; ``layers_torch`` computes the same.

Paddings are 1 where a frame is padding, at the end of a row. ``mask`` is their complement, with an axis for features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.layers_jax import Scope, Statistics, conv, dense, matmul
from workloads.speech.declared import BATCH_NORM_EPS, LAYER_NORM_EPS
from workloads.speech.front_end import FLOOR, PREEMPHASIS, SCALE, FrontEnd


def log_mel(end: FrontEnd, audio: jax.Array, paddings: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Standardised log-mel features ``[B, frames, bins]`` of 16-bit audio ``[B, samples]``, and paddings of frames."""
    window, mel, mean, stddev = (jnp.asarray(x, audio.dtype) for x in (end.window, end.mel, end.mean, end.stddev))
    audio = audio * (1 - paddings) * SCALE
    emphasised = jnp.pad(audio[:, 1:] - PREEMPHASIS * audio[:, :-1], ((0, 0), (1, 0)))
    spectrum = jnp.fft.rfft(_frames(end, emphasised) * window, end.fft)
    power = matmul(jnp.square(spectrum.real) + jnp.square(spectrum.imag), mel)
    return (jnp.log(jnp.maximum(power, FLOOR)) - mean) / stddev, paddings[:, :: end.hop][:, : power.shape[1]]


def _frames(end: FrontEnd, signal: jax.Array) -> jax.Array:
    """Overlapping frames ``[B, frames, frame]``, put together from blocks of a hop: XLA gathers slowly on CPU."""
    per_frame, count = -(-end.frame // end.hop), end.frames_in(signal.shape[1])
    used = (count + per_frame - 1) * end.hop
    signal = jnp.pad(signal, ((0, 0), (0, max(0, used - signal.shape[1]))))[:, :used]
    blocks = signal.reshape(len(signal), -1, end.hop)
    overlapping = [blocks[:, i : i + count] for i in range(per_frame)]
    return jnp.concatenate(overlapping, axis=-1)[..., : end.frame]


def spec_augment(features: jax.Array, batch: Mapping[str, jax.Array]) -> jax.Array:
    """Zeros where the batch's masks say; see ``batches.Masking``."""
    _, frames, bins = features.shape
    visible = _visible(batch["time_masks"], frames)[:, :, None] & _visible(batch["frequency_masks"], bins)[:, None]
    return features * visible


def _visible(spans: jax.Array, length: int) -> jax.Array:
    """``[B, length]``: outside all spans ``[B, n, 2]``."""
    places = jnp.arange(length)
    return ~((places >= spans[..., :1]) & (places < spans[..., 1:])).any(1)


def features_of(end: FrontEnd, batch: Mapping[str, Any], *, train: bool) -> tuple[jax.Array, jax.Array]:
    """A batch -> what is transcribed and its paddings; masked where the batch says so, in training."""
    features, paddings = log_mel(end, *batch["inputs"])
    if train and "time_masks" in batch:
        features = spec_augment(features, batch)
    return features, paddings


def subsample(
    scope: Scope, features: jax.Array, paddings: jax.Array, activation: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Two strided convolutions, then a Dense over all frequencies: ``[B, T, bins]`` -> ``[B, T / 4, width]``.

    Padding is zeroed after each convolution.
    """
    x = features[..., None]
    for name in ("Conv_0", "Conv_1"):
        paddings = paddings[:, ::2]
        x = activation(conv(scope[name], x, stride=2)) * (1 - paddings)[:, :, None, None]
    return dense(scope["Dense_0"], x.reshape(*x.shape[:2], -1)), paddings


def depthwise_conv(scope: Scope, x: jax.Array) -> jax.Array:
    """``[B, T, C]`` with a window ``kernel [K, 1, C]`` per channel, K odd, centred; no bias.

    As a sum of shifted products, which XLA's CPU code does thirty times as fast as a grouped convolution.
    """
    kernel = scope.value("kernel")
    size, length = len(kernel), x.shape[1]
    x = jnp.pad(x, ((0, 0), (size // 2, size // 2), (0, 0)))
    total = x[:, :length] * kernel[0, 0]
    for i in range(1, size):
        total = total + x[:, i : i + length] * kernel[i, 0]
    return scope.record(total)


def masked_batch_norm(scope: Scope, statistics: Statistics, x: jax.Array, mask: jax.Array, decay: float) -> jax.Array:
    """Batch normalisation (Ioffe & Szegedy 2015) of ``[B, T, C]`` by the frames that ``mask [B, T, 1]`` leaves, with
    their mean and biased variance, a factor of 1 + scale, and zeros at padding.

    The running statistics keep ``decay`` of their old values.
    """
    if statistics.train:
        count = jnp.maximum(mask.sum(), 1)
        mean = (x * mask).sum((0, 1)) / count
        variance = (jnp.square(x - mean) * mask).sum((0, 1)) / count
        statistics.renew(scope.path, decay, mean=mean, var=variance)
    else:
        running = statistics.running(scope.path)
        mean, variance = running["mean"], running["var"]
    factor = (1 + scope.value("scale")) * jax.lax.rsqrt(variance + BATCH_NORM_EPS)
    return ((x - mean) * factor + scope.value("bias")) * mask


def offset_layer_norm(scope: Scope, x: jax.Array) -> jax.Array:
    """Layer normalisation (Ba et al. 2016) of the last axis with a factor of 1 + scale."""
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.square(centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPS)
    return centred * inverse * (1 + scope.value("scale")) + scope.value("bias")
