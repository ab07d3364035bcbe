"""From times to target to performance profiles and scores: the rules, as pure functions on arrays.

Times are arrays ``(..., S, W)`` over submissions and workloads, in seconds or steps, infinity for a miss and NaN for no
data (both earn nothing). The workloads' first ``B`` columns are the base workloads, the held-out variants follow.

Performance profiles: Dolan & Moré 2002 (arXiv cs/0102001). Rules: Dahl et al. 2023 (arXiv 2306.07179), section 4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np

TAU_MAX = 4.0
OFFICIAL_POINTS = 100


@dataclasses.dataclass(frozen=True)
class Layout:
    """Columns of the time array.

    Attributes:
      base: names of the base workloads; they alone carry credit.
      held_out: names of the held-out variants, which a submission must reach as well.
      base_of: for each variant the index of its base workload.
    """

    base: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    base_of: tuple[int, ...] = ()

    @property
    def workloads(self) -> tuple[str, ...]:
        return self.base + self.held_out

    def variants_of(self, base: int) -> list[int]:
        """Column indices of a base workload's variants."""
        return [len(self.base) + i for i, b in enumerate(self.base_of) if b == base]

    def block(self, base: int) -> list[int]:
        """Column indices of a base workload and its variants: the unit that is resampled or left out together."""
        return [base, *self.variants_of(base)]

    def only(self, kept: Collection[str]) -> tuple[Layout, list[int]]:
        """The layout of the kept workloads alone, and their columns. A variant goes with its base workload."""
        base = tuple(name for name in self.base if name in kept)
        pairs = [
            (name, self.base[b])
            for name, b in zip(self.held_out, self.base_of, strict=True)
            if name in kept and self.base[b] in base
        ]
        layout = Layout(base, tuple(name for name, _ in pairs), tuple(base.index(owner) for _, owner in pairs))
        return layout, [self.workloads.index(name) for name in layout.workloads]

    def without(self, base: int) -> tuple[Layout, list[int]]:
        """The layout without one block, and the columns that stay."""
        return self.only([name for i, name in enumerate(self.workloads) if i not in self.block(base)])


def qualified_times(times: np.ndarray, layout: Layout) -> np.ndarray:
    """Times ``(..., S, B)`` that may earn credit, others infinite.

    In AlgoPerf's order: a variant's time counts only where its base workload was reached; times beyond 4 times the
    fastest are misses, per workload and variant; a base workload counts only where all its variants do.
    """
    times = np.where(np.isnan(times), np.inf, times)
    n_base = len(layout.base)
    for i, base in enumerate(layout.base_of):
        column = times[..., n_base + i]
        column[~np.isfinite(times[..., base])] = np.inf
    times[times > TAU_MAX * times.min(axis=-2, keepdims=True)] = np.inf
    for i, base in enumerate(layout.base_of):
        times[..., base][~np.isfinite(times[..., n_base + i])] = np.inf
    return times[..., :n_base]


def relative(times: np.ndarray, fastest: np.ndarray) -> np.ndarray:
    """``times / fastest``, infinite where either is; a zero time of a zero fastest is ratio 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = times / fastest
    ratio = np.where(np.isfinite(times) & (times == fastest), 1.0, ratio)
    return np.where(np.isfinite(times) & np.isfinite(fastest), ratio, np.inf)


def performance_ratios(times: np.ndarray, layout: Layout) -> np.ndarray:
    """Ratios ``(..., S, B)`` of the time to the fastest qualified time of the field; infinite without credit."""
    qualified = qualified_times(times, layout)
    return relative(qualified, qualified.min(axis=-2, keepdims=True))


def exact_credits(ratios: np.ndarray) -> np.ndarray:
    """Each workload's share of the exact score, in [0, 1]: ``(4 - min(ratio, 4)) / 3``.

    Their mean over workloads is the integral of the profile from 1 to 4 over its length, that is a restricted mean.
    """
    return (TAU_MAX - np.minimum(ratios, TAU_MAX)) / (TAU_MAX - 1.0)


def official_credits(ratios: np.ndarray) -> np.ndarray:
    """The same for AlgoPerf's form of the integral, the trapezoid rule on 100 points from 1 to 4.

    The rule is linear, so each workload contributes the weight of the points at or beyond its ratio; the points at both
    ends weigh half.
    """
    taus = np.linspace(1.0, TAU_MAX, OFFICIAL_POINTS)
    weight_beyond = (OFFICIAL_POINTS - 0.5 - np.arange(OFFICIAL_POINTS + 1)) / (OFFICIAL_POINTS - 1)
    weight_beyond[0], weight_beyond[-1] = 1.0, 0.0
    return weight_beyond[np.searchsorted(taus, ratios)]


CREDITS = {"exact": exact_credits, "official": official_credits}
"""Credit by rules; a submission's score is its mean credit over the base workloads."""


def profile(ratios: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """ρ(τ): share of workloads within τ times the fastest, ``(..., S, len(taus))``."""
    return (ratios[..., None] <= taus).mean(axis=-2)
