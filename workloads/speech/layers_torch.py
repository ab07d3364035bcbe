"""Layers of the speech models in torch; ``layers_jax`` computes the same.

Paddings are 1 where a frame is padding, at the end of a row. ``mask`` is their complement, with an axis for features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from workloads.layers_torch import Conv, Dense
from workloads.speech.declared import BATCH_NORM_EPS, LAYER_NORM_EPS, subsampled
from workloads.speech.front_end import FLOOR, PREEMPHASIS, SCALE, FrontEnd


def log_mel(end: FrontEnd, audio: torch.Tensor, paddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised log-mel features ``[B, frames, bins]`` of 16-bit audio ``[B, samples]``, and paddings of frames."""
    window, mel, mean, inverse = _constants(end, audio.dtype, audio.device)
    count = end.frames_in(audio.shape[1])
    audio = audio * (1 - paddings) * SCALE
    emphasised = F.pad(audio[:, 1:] - PREEMPHASIS * audio[:, :-1], (1, 0))
    frames = emphasised.unfold(1, end.frame, end.hop)[:, :count]
    spectrum = torch.fft.rfft(frames * window, end.fft)
    power = (spectrum.real.square() + spectrum.imag.square()) @ mel
    return (power.clamp_min(FLOOR).log() - mean) * inverse, paddings[:, :: end.hop][:, :count]


@functools.lru_cache(maxsize=8)
def _constants(end: FrontEnd, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, ...]:
    tensor = functools.partial(torch.as_tensor, dtype=dtype, device=device)
    stddev = torch.as_tensor(end.stddev, dtype=torch.float64)
    return tensor(end.window), tensor(end.mel), tensor(end.mean), tensor(1.0 / stddev)


def spec_augment(features: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Zeros where the batch's masks say; see ``batches.Masking``."""
    _, frames, bins = features.shape
    visible = _visible(batch["time_masks"], frames)[:, :, None] & _visible(batch["frequency_masks"], bins)[:, None]
    return features * visible


def _visible(spans: torch.Tensor, length: int) -> torch.Tensor:
    """``[B, length]``: outside all spans ``[B, n, 2]``."""
    places = torch.arange(length, device=spans.device)
    return ~((places >= spans[..., :1]) & (places < spans[..., 1:])).any(1)


class Features(nn.Module):
    """A batch -> what is transcribed and its paddings; masked where the batch says so, in training."""

    def __init__(self, end: FrontEnd) -> None:
        super().__init__()
        self.end = end

    def forward(self, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        audio, paddings = batch["inputs"]
        with torch.no_grad():
            features, paddings = log_mel(self.end, audio, paddings)
            if self.training and "time_masks" in batch:
                features = spec_augment(features, batch)
        return features, paddings


class ChannelsLast(Conv):
    """A convolution of ``[B, *space, in]`` into ``[B, *space, out]``, as in jax."""

    channels_last = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


class Subsample(nn.Module):
    """Two strided convolutions, then a Dense over all frequencies: ``[B, T, bins]`` -> ``[B, T / 4, width]``.

    Padding is zeroed after each convolution.
    """

    def __init__(self, bins: int, width: int, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.Conv_0, self.Conv_1 = (ChannelsLast(inputs, width, (3, 3), stride=2) for inputs in (1, width))
        self.Dense_0 = Dense(subsampled(bins) * width, width)

    def forward(self, features: torch.Tensor, paddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = features[..., None]
        for conv in (self.Conv_0, self.Conv_1):
            paddings = paddings[:, ::2]
            x = self.activation(conv(x)) * (1 - paddings)[:, :, None, None]
        return self.Dense_0(x.flatten(2)), paddings


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) of ``[B, T, C]`` by the frames that ``mask [B, T, 1]`` leaves, with
    their mean and biased variance, a factor of 1 + scale, and zeros at padding.

    The running statistics keep ``decay`` of their old values; ``momentum`` is torch's name for the rest.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, features: int, decay: float) -> None:
        super().__init__()
        self.momentum = 1.0 - decay
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.training:
            count = mask.sum().clamp_min(1)
            mean = (x * mask).sum((0, 1)) / count
            centred = x - mean
            variance = (centred.square() * mask).sum((0, 1)) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        else:
            centred, variance = x - self.running_mean, self.running_var
        return (centred * ((1 + self.weight) * (variance + BATCH_NORM_EPS).rsqrt()) + self.bias) * mask


class OffsetLayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016) of the last axis with a factor of 1 + scale."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.bias.shape, 1 + self.weight, self.bias, LAYER_NORM_EPS)
