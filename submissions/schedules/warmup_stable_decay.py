"""Linear warm-up, a plateau, then a straight line down to a fraction of the peak (WSD, or trapezoid).

Hu et al. 2024 (arXiv 2404.06395, section 4.1); Hägele et al. 2024 (arXiv 2405.18392). With ``decay_fraction: 0`` it
warms up and holds.
"""

from __future__ import annotations

import numpy as np

from submissions.schedules._ramp import progress, ramp, ramp_steps

DEFAULTS = {"warmup_fraction": 0.05, "decay_fraction": 0.2, "final_fraction": 0.0}


def multiplier(
    step: np.ndarray, total_steps: int, warmup_fraction: float, decay_fraction: float, final_fraction: float
) -> np.ndarray:
    up = ramp(step, ramp_steps(warmup_fraction, total_steps))
    decay = ramp_steps(decay_fraction, total_steps)
    if not decay:
        return up
    return up * (1 - (1 - final_fraction) * progress(step, total_steps - decay, total_steps))
