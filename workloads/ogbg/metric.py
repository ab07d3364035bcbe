"""Mean average precision over tasks."""

from __future__ import annotations

import numpy as np


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The sum over thresholds of precision times the gain in recall; entries of equal score share a threshold.

    Args:
      labels: ``[n]``, 0 or 1, at least one of them 1.
      scores: ``[n]``, higher for those more likely 1.
    """
    order = np.argsort(-scores, kind="stable")
    hits, ordered = np.cumsum(labels[order]), scores[order]
    last_of_ties = np.append(ordered[1:] != ordered[:-1], True)
    hits, found = hits[last_of_ties], np.flatnonzero(last_of_ties) + 1
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / found) / hits[-1])


def mean_average_precision(labels: np.ndarray, scores: np.ndarray, known: np.ndarray) -> float:
    """Over the tasks with both labels among their known entries (Hu et al. 2020, arXiv 2005.00687, section 4); NaN
    where a known score is NaN, or where no task has both labels.

    Args:
      labels, scores: ``[n, tasks]``.
      known: ``[n, tasks]``, nonzero where the label is known and the example is real.
    """
    known = known > 0
    if np.isnan(scores[known]).any():
        return float("nan")
    found = []
    for task in range(labels.shape[1]):
        rows = known[:, task]
        task_labels = labels[rows, task]
        if 0 < task_labels.sum() < len(task_labels):
            found.append(average_precision(task_labels.astype(np.float64), scores[rows, task]))
    return float(np.mean(found)) if found else float("nan")
