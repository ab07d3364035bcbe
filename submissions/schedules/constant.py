"""No schedule: the learning rate stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

DEFAULTS: dict[str, Any] = {}


def multiplier(step: np.ndarray, total_steps: int) -> np.ndarray:
    return np.ones_like(step, float)
