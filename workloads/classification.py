"""What workloads with one class per example share: the metric, and what resampling plans ask about classes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.spec import EvalBatch, Workload


class Classification(Workload):
    """A workload whose ``targets`` are class numbers ``[n]`` and whose metric is ``accuracy``."""

    def strata(self) -> np.ndarray:
        return np.asarray(self.load_split("train")["targets"])

    def is_right(self, evaluated: EvalBatch) -> np.ndarray:
        return evaluated.fetch_logits().argmax(axis=-1) == evaluated.batch["targets"]

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``accuracy`` and ``loss``, over the real examples."""
        totals = np.zeros(3)
        for evaluated in batches:
            correct = np.sum(self.is_right(evaluated) * evaluated.batch.get("weights", 1.0))
            totals += correct, evaluated.loss_summed, evaluated.n_valid
        correct, loss, examples = totals
        return {"accuracy": float(correct / examples), "loss": float(loss / examples)}
