"""Several warm-ups with half a cosine each: the cosine schedule with restarts.

Loshchilov & Hutter 2017 (arXiv 1608.03983), with a linear warm-up in every cycle as in AlgoPerf's entry cyclic_lr, and
the peak of each cycle ``peak_decay`` times that of the one before, as the nested cosines of its entry caspr_adaptive
have it. ``warmup_fraction`` is a share of a cycle; cycles have the same length.
"""

from __future__ import annotations

import numpy as np

from submissions.components import FRACTION, Interval

DEFAULTS = {"warmup_fraction": 0.05, "final_fraction": 0.0, "peak_decay": 1.0, "cycles": 2}
BOUNDS = {"cycles": Interval(1), "peak_decay": FRACTION}


def multiplier(
    step: np.ndarray,
    total_steps: int,
    warmup_fraction: float,
    final_fraction: float,
    peak_decay: float,
    cycles: int,
) -> np.ndarray:
    position = np.asarray(step, float) * cycles / total_steps
    cycle = np.clip(np.floor(position), 0, cycles - 1)
    inside = np.clip(position - cycle, 0.0, 1.0)
    rise = np.minimum(inside, warmup_fraction) / warmup_fraction if warmup_fraction else np.ones_like(inside)
    share = (inside - warmup_fraction) / (1 - warmup_fraction) if warmup_fraction < 1 else np.zeros_like(inside)
    fall = np.where(inside >= 1, 1.0, np.clip(share, 0.0, 1.0))
    cosine = final_fraction + (1 - final_fraction) * 0.5 * (1 + np.cos(np.pi * fall))
    return peak_decay**cycle * np.where(inside < warmup_fraction, rise, cosine)
