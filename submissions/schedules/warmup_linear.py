"""Linear warm-up, then a straight line down to a fraction of the peak.

Defazio et al. 2023 (arXiv 2310.07831) find it the best of the simple schedules for the last iterate.
"""

from __future__ import annotations

import numpy as np

from submissions.schedules._ramp import progress, ramp, ramp_steps

DEFAULTS = {"warmup_fraction": 0.05, "final_fraction": 0.0}


def multiplier(step: np.ndarray, total_steps: int, warmup_fraction: float, final_fraction: float) -> np.ndarray:
    warmup = ramp_steps(warmup_fraction, total_steps)
    return ramp(step, warmup) * (1 - (1 - final_fraction) * progress(step, warmup, total_steps))
