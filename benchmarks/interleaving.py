"""Two loops timed against each other in turns, so that a drifting machine cannot decide."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Callable

Stretch = Callable[[int], None]
"""Makes so many steps and waits for them."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Median seconds per step of both, and the median and the quartiles of first / second, round by round."""

    first_sec: float
    second_sec: float
    ratio: float
    low: float
    high: float


def pin_to_one_core() -> None:
    """Where the system can; the lowest core that this process may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def compare(
    first: Stretch, second: Stretch, *, rounds: int, steps: int, clock: Callable[[], float], warmup: int = 5
) -> Comparison:
    """Stretches of both take turns, the order reversed from round to round."""
    for stretch in (first, second):
        stretch(warmup)  # compilation and warm caches
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        order = [(0, first), (1, second)]
        for place, stretch in order if number % 2 else reversed(order):
            started = clock()
            stretch(steps)
            times[place].append((clock() - started) / steps)
    ratios = [a / b for a, b in zip(*times, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if rounds > 1 else ratios * 3
    return Comparison(statistics.median(times[0]), statistics.median(times[1]), middle, low, high)
