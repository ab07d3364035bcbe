"""When an averaging looks at the iterates."""

from __future__ import annotations

from typing import Any


def due(step: Any, total_steps: int, start_fraction: float, every_fraction: float) -> Any:
    """Whether the iterate after ``step`` steps (from 1) counts: from a share of the total on, at regular steps."""
    every = max(round(every_fraction * total_steps), 1)
    return (step >= start_fraction * total_steps) & (step % every == 0)
