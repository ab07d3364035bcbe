"""Linear warm-up, then decay with the inverse square root of the step.

Vaswani et al. 2017 (arXiv 1706.03762, equation 3), divided by its peak. Needs no end, and never reaches zero.
"""

from __future__ import annotations

import numpy as np

from submissions.schedules._ramp import ramp, ramp_steps

DEFAULTS = {"warmup_fraction": 0.05}


def multiplier(step: np.ndarray, total_steps: int, warmup_fraction: float) -> np.ndarray:
    warmup = max(ramp_steps(warmup_fraction, total_steps), 1)
    return ramp(step, warmup) * np.sqrt(warmup / np.maximum(step, warmup))
