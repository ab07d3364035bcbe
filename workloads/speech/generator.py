"""Utterances of the mini language: 16-bit audio and spellings. Speakers of one split are not heard in another."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates
from workloads.speech.language import Language
from workloads.speech.phones import PHONES
from workloads.speech.synthesis import HOP, Speaker, Tracks, speak, tracks_of
from workloads.speech.vocabulary import Characters

VOCABULARY = Characters(" " + PHONES)
"""Targets are spelled."""

FULL_SCALE = 32_768.0
_SECONDS_PER_OUTPUT = 0.04
"""Frames of 10 ms, subsampled by 4."""
_SPARE = 4
"""Outputs of a model beyond one per character (and one between two equal ones), which CTC needs at least."""
_CHUNK = 100
"""Utterances that are synthesised at a time; keeps their spectra below 100 MB."""


@announced(generates)
def generate(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` int16 ``[n, max_samples]`` (silent after the end), ``lengths`` int32 ``[n]`` (samples of
    speech) and ``targets`` int32 ``[n, max_tokens]``, 0 after the end. Training also has ``groups``, the speaker.

    ``config``: ``seed``, ``sample_rate``, ``max_samples``, ``max_tokens``, ``words`` (of the lexicon),
    ``words_per_utterance`` (least, most), ``speakers`` (in training; the others have a quarter of that), ``snr_db``
    (lowest and highest ratio of speech to the noise behind it).
    """
    rng = np.random.RandomState(config["seed"])
    language = Language.invent(rng, config["words"])
    splits = {}
    for split, size in sizes.items():
        speakers = [
            Speaker.draw(rng) for _ in range(config["speakers"] if split == "train" else config["speakers"] // 4)
        ]
        owners = rng.randint(len(speakers), size=size)
        spoken = [_utterance(rng, language, speakers[owner], config) for owner in owners]
        parts = [_recorded(rng, [t for _, t in spoken[i : i + _CHUNK]], config) for i in range(0, size, _CHUNK)]
        splits[split] = {
            "inputs": np.concatenate(parts),
            "lengths": np.array([len(tracks) * HOP for _, tracks in spoken], np.int32),
            "targets": np.stack([_ids(text, config["max_tokens"]) for text, _ in spoken]),
        }
        if split == "train":
            splits[split]["groups"] = owners.astype(np.int32)
    return splits


def _utterance(
    rng: np.random.RandomState, language: Language, speaker: Speaker, config: Mapping[str, Any]
) -> tuple[str, Tracks]:
    """A sentence that fits, and how it is said; one that is too long or said too fast is given up for another."""
    least, most = config["words_per_utterance"]
    while True:
        text = language.sentence(rng, int(rng.randint(least, most + 1)))
        tracks = tracks_of(rng, text, speaker, config["sample_rate"])
        needed = len(text) + sum(map(operator.eq, text, text[1:])) + _SPARE
        fits = needed * _SECONDS_PER_OUTPUT <= len(tracks) * HOP / config["sample_rate"]
        if fits and len(tracks) * HOP <= config["max_samples"] and len(text) <= config["max_tokens"]:
            return text, tracks


def _recorded(rng: np.random.RandomState, spoken: list[Tracks], config: Mapping[str, Any]) -> np.ndarray:
    """int16 ``[n, max_samples]`` at different loudness, with noise behind the speech."""
    samples = config["max_samples"]
    audio = speak(rng, spoken, samples, config["sample_rate"])
    lowest, highest = config["snr_db"]
    loudness, ratio = rng.random_sample((2, len(spoken), 1))
    noise = 10.0 ** (-(lowest + (highest - lowest) * ratio) / 20.0)
    audio = (0.04 * 3.0**loudness) * (audio + noise * rng.standard_normal(audio.shape))
    lengths = np.array([len(tracks) * HOP for tracks in spoken])
    audio[np.arange(samples) >= lengths[:, None]] = 0.0
    return np.clip(np.rint(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _ids(text: str, length: int) -> np.ndarray:
    ids = np.zeros(length, np.int32)
    ids[: len(text)] = VOCABULARY.encode(text)
    return ids
