"""What both frameworks share of connectionist temporal classification (Graves et al. 2006), as AlgoPerf has it.

Labels are ``targets [B, L]`` or ``(targets, target_paddings)``; logits ``[B, T, V]`` or ``(logits, logit_paddings)``.
Paddings are 1 where an entry is padding, at the end of a row, and 0 elsewhere. The blank is class 0, so that a bare
array of targets may be padded with it. A batch's number of valid examples is its number of unpadded labels.
"""

from __future__ import annotations

from typing import Any

BLANK = 0


def paired_labels(labels: Any) -> tuple[Any, Any]:
    """``(targets [B, L], paddings [B, L])``; the paddings of a bare array are where it is blank."""
    if isinstance(labels, tuple | list):
        targets, paddings = labels
        return targets, paddings
    return labels, labels == BLANK


def paired_logits(logits: Any) -> tuple[Any, Any]:
    """``(logits [B, T, V], paddings [B, T])``; a bare array has none."""
    if isinstance(logits, tuple | list):
        values, paddings = logits
        return values, paddings
    return logits, logits[..., 0] * 0


def lengths(paddings: Any) -> Any:
    """Unpadded entries per row, ``[B]``."""
    return (paddings == 0).sum(-1)
