"""Corpus BLEU of decoded token ids, by sacrebleu (Post 2018, arXiv 1804.08771)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workloads.wmt.architecture import END, PAD


def until_end(ids: np.ndarray) -> list[list[int]]:
    """Token ids of each row of ``[n, length]`` before the first END, without padding."""
    found = []
    for row in ids:
        ends = np.flatnonzero(row == END)
        kept = row[: ends[0]] if len(ends) else row
        found.append([int(token) for token in kept if token != PAD])
    return found


def corpus_bleu(translations: Sequence[str], references: Sequence[str], tokenize: str) -> float:
    """BLEU-4 of a corpus with one reference per sentence, 0 to 100, with exponential smoothing.

    ``tokenize`` is sacrebleu's: ``13a`` for text, ``none`` where words are separated by spaces already.
    """
    if not references:
        return float("nan")
    from sacrebleu.metrics import BLEU

    return float(BLEU(tokenize=tokenize, smooth_method="exp").corpus_score(translations, [references]).score)
