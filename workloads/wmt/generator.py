"""Generated pairs of sentences for the mini scale; ``grammar`` has the two languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates
from workloads.wmt.architecture import END, PAD
from workloads.wmt.grammar import VOCABULARY, Language, Speaker, Translator, in_source

Pair = tuple[list[int], list[int]]


@announced(generates)
def generate(config: Mapping[str, Any], vocabulary: int, sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` int32 ``[n, source_length]`` and ``targets`` int32 ``[n, target_length]``: token ids, END,
    padding. No source sentence occurs twice, in whatever split.

    Validation and test are sorted by length, so that a beam search is done with all sentences of a batch at about the
    same time.
    """
    if vocabulary < VOCABULARY:
        raise ValueError(f"the generated languages have {VOCABULARY} types; a vocabulary of {vocabulary} is less")
    random = np.random.RandomState(config["seed"])
    pairs = _distinct_pairs(random, config, sum(sizes.values()))
    splits = {}
    for split, size in sizes.items():
        part, pairs = pairs[:size], pairs[size:]
        if split != "train":
            part.sort(key=lambda pair: len(pair[0]))
        sources, targets = zip(*part, strict=True)
        splits[split] = {
            "inputs": _padded(sources, config["source_length"]),
            "targets": _padded(targets, config["target_length"]),
        }
    return splits


def _distinct_pairs(random: np.random.RandomState, config: Mapping[str, Any], count: int) -> list[Pair]:
    language = Language.make(random)
    speaker, translator = Speaker(random, language), Translator(language)
    pairs: dict[tuple[int, ...], list[int]] = {}
    while len(pairs) < count:
        clause = speaker.sentence()
        source, target = (*in_source(clause), END), [*translator.main(clause), END]
        if len(source) <= config["source_length"] and len(target) <= config["target_length"]:
            pairs.setdefault(source, target)
    return [(list(source), target) for source, target in pairs.items()]


def _padded(sentences: tuple[list[int], ...], length: int) -> np.ndarray:
    rows = np.full((len(sentences), length), PAD, np.int32)
    for row, tokens in zip(rows, sentences, strict=True):
        row[: len(tokens)] = tokens
    return rows
