"""Word error rate of greedily decoded CTC outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from harness.frameworks.ctc import BLANK
from harness.spec import EvalBatch

Decode = Callable[[Sequence[int]], str]
"""Token ids -> text."""


def greedy_decode(logits: np.ndarray, paddings: np.ndarray) -> list[list[int]]:
    """The likeliest class of each unpadded frame, with repetitions merged and blanks removed (Graves et al. 2006).

    Args:
      logits: ``[B, T, V]``.
      paddings: ``[B, T]``, 1 where a frame is padding.
    """
    best = logits.argmax(axis=-1)
    changes = np.ones(best.shape, bool)
    changes[:, 1:] = best[:, 1:] != best[:, :-1]
    kept = changes & (best != BLANK) & (paddings == 0)
    return [row[mask].tolist() for row, mask in zip(best, kept, strict=True)]


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest insertions, deletions and replacements that make one of the other (Levenshtein 1966)."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(diagonal + (expected != found), row[j] + 1, row[j - 1] + 1)
    return row[-1]


class WordErrors:
    """Adds up the words of references and the errors in what was decoded."""

    def __init__(self, decode: Decode) -> None:
        self.errors = 0
        self.words = 0
        self._decode = decode

    def add(self, evaluated: EvalBatch) -> None:
        """One evaluated batch, collated; examples of weight 0 do not count."""
        batch = evaluated.batch
        targets, paddings = batch["targets"]
        weights = batch.get("weights", np.ones(len(targets)))
        logits, logit_paddings = evaluated.fetch_logits()
        hypotheses = greedy_decode(logits, logit_paddings)
        for target, padding, hypothesis, weight in zip(targets, paddings, hypotheses, weights, strict=True):
            if weight:
                reference = self._decode(target[padding == 0].tolist()).split()
                self.errors += edit_distance(reference, self._decode(hypothesis).split())
                self.words += len(reference)

    @property
    def rate(self) -> float:
        """Errors per word of the references; NaN without any."""
        return self.errors / self.words if self.words else float("nan")


def word_error_rate(batches: Iterable[EvalBatch], decode: Decode) -> float:
    """:class:`WordErrors` over the batches of a split."""
    counted = WordErrors(decode)
    for evaluated in batches:
        counted.add(evaluated)
    return counted.rate
