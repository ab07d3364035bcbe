"""The log-mel front end in numbers; ``layers_torch`` and ``layers_jax`` compute it inside the models.

Samples of 16 bits are scaled to ±1, pre-emphasised, cut into overlapping frames under a Hann window, and become the
power in mel bands (Davis & Mermelstein 1980; bands as in HTK), whose logarithm is standardised bin by bin. It has no
parameters and is not trained.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

SCALE = 2.0**-15
PREEMPHASIS = 0.97
FLOOR = 1e-5
"""Least power in a band before the logarithm."""

_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010
_MEL_HERTZ, _MELS = 700.0, 1127.0


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """Audio at ``sample_rate`` (Hz) -> ``bins`` mel bands from ``lowest`` to ``highest`` Hz per frame.

    ``mean`` and ``stddev`` standardise the logarithms: one number, or one per bin.
    """

    sample_rate: int
    samples: int
    bins: int
    lowest: float
    highest: float
    mean: float | tuple[float, ...]
    stddev: float | tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> FrontEnd:
        """From the model configuration's ``front_end``."""
        return cls(**config["front_end"])

    @property
    def frame(self) -> int:
        """Samples of a frame; even."""
        return round(self.sample_rate * _FRAME_SECONDS)

    @property
    def hop(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.sample_rate * _HOP_SECONDS)

    @property
    def fft(self) -> int:
        return 2 ** int(np.ceil(np.log2(self.frame + 1)))

    @property
    def frames(self) -> int:
        """Frames of padded audio."""
        return self.frames_in(self.samples)

    def frames_in(self, samples: int) -> int:
        """Whole frames. AlgoPerf's have one sample more, of which pre-emphasis leaves nothing."""
        return (samples - self.frame - 1) // self.hop + 1

    def frames_of(self, lengths: np.ndarray) -> np.ndarray:
        """Frames that begin within the first ``lengths`` samples; the others are padding."""
        return np.minimum(-(-np.asarray(lengths) // self.hop), self.frames)

    @functools.cached_property
    def window(self) -> np.ndarray:
        """Periodic Hann window ``[frame]``. It begins with 0, so that what pre-emphasis makes of a frame's first sample
        is of no account, and the whole signal may be pre-emphasised before it is cut."""
        return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.frame) / self.frame)

    @functools.cached_property
    def mel(self) -> np.ndarray:
        """Weights ``[fft // 2 + 1, bins]``: triangles of height 1 in the mel scale, none at 0 Hz."""
        frequencies = np.arange(1, self.fft // 2 + 1) * self.sample_rate / self.fft
        at = _mels(frequencies)[:, None]
        edges = np.linspace(_mels(self.lowest), _mels(self.highest), self.bins + 2)
        rising, falling = (at - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - at) / np.diff(edges)[1:]
        return np.pad(np.maximum(0.0, np.minimum(rising, falling)), ((1, 0), (0, 0)))


def _mels(hertz: Any) -> Any:
    return _MELS * np.log1p(np.asarray(hertz) / _MEL_HERTZ)
