"""The pieces that schedules share."""

from __future__ import annotations

import numpy as np


def ramp_steps(warmup_fraction: float, total_steps: int) -> int:
    return round(warmup_fraction * total_steps)


def ramp(step: np.ndarray, steps: int) -> np.ndarray:
    """0 at step 0, rising linearly to 1 at ``steps``, then 1."""
    return np.minimum(step / steps, 1.0) if steps else np.ones_like(step, float)


def progress(step: np.ndarray, start: int, stop: int) -> np.ndarray:
    """0 up to ``start``, rising linearly to 1 at ``stop``, then 1."""
    if stop <= start:
        return (np.asarray(step) >= stop).astype(float)
    return np.clip((step - start) / (stop - start), 0.0, 1.0)
