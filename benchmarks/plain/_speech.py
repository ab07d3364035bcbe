"""What both plain speech models share: audio to masked log-mel frames, a strided front, and the loss per label."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F

FFT, HOP, FRAME = 256, 80, 200
DROPOUT = 0.1


def mel_bands(config: Any) -> np.ndarray:
    """``[FFT // 2 + 1, bins]``."""
    end = config["front_end"]
    mels = lambda hertz: 1127 * np.log1p(np.asarray(hertz) / 700)  # noqa: E731
    edges = np.linspace(mels(end["lowest"]), mels(end["highest"]), end["bins"] + 2)
    at = mels(np.arange(FFT // 2 + 1) * end["sample_rate"] / FFT)[:, None]
    rising, falling = (at - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - at) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


class TorchFront(nn.Module):
    """A batch -> ``[B, T / 4, width]`` and which frames are real, ``[B, T / 4]``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        end, width = config["front_end"], config["width"]
        self.mean, self.stddev = end["mean"], end["stddev"]
        self.register_buffer("mel", torch.from_numpy(mel_bands(config)))
        self.register_buffer("window", torch.hann_window(FRAME))
        self.first, self.second = nn.Conv2d(1, width, 3, 2, 1), nn.Conv2d(width, width, 3, 2, 1)
        self.out = nn.Linear(-(-end["bins"] // 4) * width, width)

    @torch.no_grad()
    def features(self, batch: Any) -> Any:
        audio, paddings = batch["inputs"]
        audio = audio * (1 - paddings) / 2**15
        audio = torch.cat([audio[:, :1], audio[:, 1:] - 0.97 * audio[:, :-1]], 1)
        spectrum = torch.stft(audio, FFT, HOP, FRAME, self.window, center=False, return_complex=True)
        power = spectrum.abs().square().transpose(1, 2) @ self.mel
        x = (power.clamp_min(1e-5).log() - self.mean) / self.stddev
        real = paddings[:, ::HOP][:, : x.shape[1]] == 0
        if self.training and "time_masks" in batch:
            for axis, spans in ((1, batch["time_masks"]), (2, batch["frequency_masks"])):
                at = torch.arange(x.shape[axis])
                hidden = ((at >= spans[..., :1]) & (at < spans[..., 1:])).any(1)
                x = x.masked_fill(hidden.unsqueeze(3 - axis), 0)
        return x, real

    def forward(self, batch: Any) -> Any:
        x, real = self.features(batch)
        x = x[:, None]
        for conv in (self.first, self.second):
            real = real[:, ::2]
            x = F.relu(conv(x)) * real[:, None, :, None]
        return self.out(x.transpose(1, 2).flatten(2)), real


def torch_loss(logits: Any, real: Any, batch: Any) -> Any:
    targets, paddings = batch["targets"]
    labels = (1 - paddings).sum(1).long()
    log_probs = logits.log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probs, targets, real.sum(1), labels, reduction="sum") / labels.sum()


class JaxFront(linen.Module):
    config: Any

    def features(self, batch: Any, train: bool) -> Any:
        end = self.config["front_end"]
        audio, paddings = batch["inputs"]
        audio = audio * (1 - paddings) / 2**15
        audio = jnp.concatenate([audio[:, :1], audio[:, 1:] - 0.97 * audio[:, :-1]], 1)
        frames = np.arange(1 + (audio.shape[1] - FRAME) // HOP)[:, None] * HOP + np.arange(FRAME)
        spectrum = jnp.fft.rfft(audio[:, frames] * np.hanning(FRAME + 1)[:-1].astype(np.float32), FFT)
        power = jnp.square(jnp.abs(spectrum)) @ mel_bands(self.config)
        x = (jnp.log(jnp.maximum(power, 1e-5)) - end["mean"]) / end["stddev"]
        if train and "time_masks" in batch:
            for axis, spans in ((1, batch["time_masks"]), (2, batch["frequency_masks"])):
                at = jnp.arange(x.shape[axis])
                hidden = ((at >= spans[..., :1]) & (at < spans[..., 1:])).any(1)
                x = jnp.where(jnp.expand_dims(hidden, 3 - axis), 0, x)
        return x, paddings[:, ::HOP][:, : x.shape[1]] == 0

    @linen.compact
    def __call__(self, batch: Any, train: bool) -> Any:
        x, real = self.features(batch, train)
        x = x[..., None]
        for _ in range(2):
            real = real[:, ::2]
            x = linen.relu(linen.Conv(self.config["width"], (3, 3), 2)(x)) * real[:, :, None, None]
        return linen.Dense(self.config["width"])(x.reshape(*x.shape[:2], -1)), real


def jax_loss(logits: Any, real: Any, batch: Any) -> Any:
    targets, paddings = batch["targets"]
    return optax.ctc_loss(logits, 1.0 - real, targets, paddings).sum() / (1 - paddings).sum()


def jax_model_of(model: linen.Module) -> Any:
    """What ``steps.py`` asks for, of a module that is called with a batch and whether it trains."""

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        variables = {"params": params, "batch_stats": state}
        (logits, real), after = model.apply(variables, batch, True, rngs={"dropout": key}, mutable=["batch_stats"])
        return jax_loss(logits, real, batch), after["batch_stats"]

    def init(key: Any, batch: Any) -> Any:
        variables = jax.jit(model.init, static_argnums=2)(key, batch, False)
        return variables["params"], variables["batch_stats"]

    return init, loss
