"""Speech from phones by a source and a filter (Fant 1960): a pulse train and noise, shaped frame by frame.

The filter acts on the short-time Fourier transform of the source. Its tracks (formants, amplitudes, the band of the
noise) are steps from sound to sound, smoothed, so that neighbouring phones colour each other as in real speech.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from workloads.speech.phones import PAUSE, SOUNDS

FRAME, HOP = 256, 64
"""Samples of a frame, and between two frames: a quarter, for which squared Hann windows add up to a constant."""

_BANDWIDTHS = np.array([90.0, 120.0, 180.0])
_FORMANT_AMPLITUDES = np.array([1.0, 0.6, 0.35])
_SMOOTHING = {"formants": 5, "amplitudes": 3}
"""Frames over which tracks are averaged, twice."""


@dataclasses.dataclass(frozen=True)
class Speaker:
    """A voice: the pitch in Hz, factors on all resonances and on the rate of speech."""

    pitch: float
    tract: float
    rate: float

    @classmethod
    def draw(cls, rng: np.random.RandomState) -> Speaker:
        pitch, tract, rate = rng.random_sample(3)
        return cls(85.0 * (240.0 / 85.0) ** pitch, 0.85 + 0.33 * (0.6 * tract + 0.4 * pitch), 0.8 + 0.45 * rate)


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Filter and source per frame of one utterance: ``formants [T, 3]``, ``voice``, ``noise``, ``centre``, ``width``
    and ``pitch``, each ``[T]``."""

    formants: np.ndarray
    voice: np.ndarray
    noise: np.ndarray
    centre: np.ndarray
    width: np.ndarray
    pitch: np.ndarray

    def __len__(self) -> int:
        return len(self.voice)


def tracks_of(rng: np.random.RandomState, text: str, speaker: Speaker, sample_rate: int) -> Tracks:
    """How a speaker says words of phones with spaces between them; durations, pitch and sounds vary a little."""
    sounds = [PAUSE]
    for letter in text:
        sounds += [PAUSE] if letter == " " else SOUNDS[letter]
    sounds.append(PAUSE)
    rate = speaker.rate * np.exp(0.08 * rng.standard_normal())
    wanted = np.array([sound.seconds for sound in sounds]) * np.exp(0.15 * rng.standard_normal(len(sounds))) / rate
    frames = np.maximum(1, np.diff(np.rint(np.cumsum(wanted) * sample_rate / HOP), prepend=0)).astype(np.int64)

    def track(values: Sequence[float] | np.ndarray, kind: str) -> np.ndarray:
        return _smooth(np.repeat(np.asarray(values, np.float64), frames, axis=0), _SMOOTHING[kind])

    jitter = np.exp(0.04 * rng.standard_normal((len(sounds), 3)))
    tilt = np.linspace(1.1, 0.85, int(frames.sum())) * np.exp(0.05 * rng.standard_normal())
    return Tracks(
        formants=track(speaker.tract * jitter * [sound.formants for sound in sounds], "formants"),
        voice=track([sound.voice for sound in sounds], "amplitudes"),
        noise=track([sound.noise for sound in sounds], "amplitudes"),
        centre=track([sound.noise_centre for sound in sounds], "formants"),
        width=track([sound.noise_width for sound in sounds], "formants"),
        pitch=speaker.pitch * tilt,
    )


def speak(rng: np.random.RandomState, utterances: Sequence[Tracks], samples: int, sample_rate: int) -> np.ndarray:
    """float64 ``[utterances, samples]``, of unit mean square where there is speech, silent after it."""
    count = samples // HOP
    stacked = [_stack([getattr(u, field.name) for u in utterances], count) for field in dataclasses.fields(Tracks)]
    formants, voice, noise, centre, width, pitch = stacked
    frequencies = np.arange(FRAME // 2 + 1) * sample_rate / FRAME
    spectrum = _spectra(_pulses(pitch, samples, sample_rate)) * _resonances(frequencies, formants) * voice[:, :, None]
    band = np.exp(-0.5 * ((frequencies - centre[:, :, None]) / width[:, :, None]) ** 2)
    spectrum += _spectra(rng.standard_normal((len(utterances), samples))) * band * (3.0 * noise[:, :, None])
    audio = _overlap_add(spectrum, samples)
    lengths = np.array([len(u) * HOP for u in utterances])
    audio[np.arange(samples) >= lengths[:, None]] = 0.0
    return audio / np.sqrt(np.square(audio).sum(axis=1, keepdims=True) / lengths[:, None])


def _smooth(track: np.ndarray, width: int) -> np.ndarray:
    """Moving average of ``width`` frames along the first axis, twice; the ends are held."""
    for _ in range(2):
        padded = np.concatenate([track[:1].repeat(width // 2, 0), track, track[-1:].repeat(width // 2, 0)])
        track = np.stack([padded[i : i + len(track)] for i in range(width)]).mean(axis=0)
    return track


def _stack(tracks: Sequence[np.ndarray], count: int) -> np.ndarray:
    """``[utterances, count, ...]``; a track that ends early keeps its last value."""
    index = np.arange(count)
    return np.stack([track[np.minimum(index, len(track) - 1)] for track in tracks])


def _pulses(pitch: np.ndarray, samples: int, sample_rate: int) -> np.ndarray:
    """A pulse wherever the phase of the pitch completes a turn; equal power at every pitch."""
    per_sample = np.repeat(pitch, HOP, axis=1)[:, :samples] / sample_rate
    turns = np.floor(np.cumsum(per_sample, axis=1))
    return np.diff(turns, axis=1, prepend=0.0) / np.sqrt(per_sample)


def _resonances(frequencies: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """``[..., frequencies]``: a sum of resonance peaks, which falls towards high frequencies as the voice does."""
    shape = np.zeros((*formants.shape[:-1], len(frequencies)))
    for i, (bandwidth, amplitude) in enumerate(zip(_BANDWIDTHS, _FORMANT_AMPLITUDES, strict=True)):
        shape += amplitude / (1.0 + ((frequencies - formants[..., i, None]) / bandwidth) ** 2)
    return shape + 0.01


def _spectra(audio: np.ndarray) -> np.ndarray:
    """Short-time transforms ``[utterances, samples // HOP, FRAME // 2 + 1]``; frame t is centred on sample t * HOP."""
    padded = np.pad(audio, ((0, 0), (FRAME // 2, FRAME // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME, axis=1)[:, ::HOP][:, : audio.shape[1] // HOP]
    return np.fft.rfft(frames * _window())


def _overlap_add(spectrum: np.ndarray, samples: int) -> np.ndarray:
    frames = np.fft.irfft(spectrum, FRAME) * _window()
    utterances, count, _ = frames.shape
    blocks = np.zeros((utterances, count + FRAME // HOP - 1, HOP))
    for i, part in enumerate(np.split(frames, FRAME // HOP, axis=2)):
        blocks[:, i : i + count] += part
    return blocks.reshape(utterances, -1)[:, FRAME // 2 : FRAME // 2 + samples] / 1.5


def _window() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME) / FRAME)
