"""Linear warm-up, then half a cosine down to a fraction of the peak.

Loshchilov & Hutter 2017 (arXiv 1608.03983, equation 5, one period), with the warm-up of Goyal et al. 2017 (arXiv
1706.02677).
"""

from __future__ import annotations

import numpy as np

from submissions.schedules._ramp import progress, ramp, ramp_steps

DEFAULTS = {"warmup_fraction": 0.05, "final_fraction": 0.0}


def multiplier(step: np.ndarray, total_steps: int, warmup_fraction: float, final_fraction: float) -> np.ndarray:
    warmup = ramp_steps(warmup_fraction, total_steps)
    cosine = 0.5 * (1 + np.cos(np.pi * progress(step, warmup, total_steps)))
    return ramp(step, warmup) * (final_fraction + (1 - final_fraction) * cosine)
