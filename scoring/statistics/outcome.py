"""What the functions of this package return, and the checks of input that they share."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-12
"""Relative size below which a spread of differences is rounding, not variance."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a hypothesis test.

    Attributes:
      statistic: the test's statistic; NaN only where it is undefined, and ``degenerate`` is then set.
      df: degrees of freedom of the reference distribution, () where it has none.
      p: two-sided p-value in [0, 1].
      method: test and variant, in words.
      degenerate: the input carries no information, or no variance; ``note`` says which.
      note: what the reader of the p-value should know; may be empty.
    """

    statistic: float
    df: tuple[float, ...]
    p: float
    method: str
    degenerate: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
      value: the point estimate.
      low, high: limits; None where the method gives none.
      method: in words.
      degenerate: the value or the interval is a limit, not an estimate; ``note`` says why.
      note: what the reader should know; may be empty.
    """

    value: float
    low: float | None
    high: float | None
    method: str
    degenerate: bool = False
    note: str = ""

    def includes(self, value: float) -> bool:
        """Whether it lies within the interval; False where there is none."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


def finite(values: ArrayLike, name: str, axes: tuple[str, ...] = ("entry",), at_least: int = 1) -> np.ndarray:
    """The values as floats, with one axis per name.

    Args:
      values: anything numpy reads as numbers.
      name: of the quantity, for messages.
      axes: name of each axis, in the singular, for messages such as "replication 1, half 2".
      at_least: smallest length of every axis.

    Raises:
      ValueError: other number of axes, too few values, or a value that is NaN or infinite, named by its cell.
    """
    array = np.asarray(values, dtype=float)
    if array.ndim != len(axes) or min(array.shape, default=0) < at_least:
        wanted = " x ".join(f"at least {at_least} {axis}(s)" for axis in axes)
        raise ValueError(f"{name} of shape {array.shape}: expected {wanted}")
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        cell = ", ".join(f"{axis} {index + 1}" for axis, index in zip(axes, bad[0], strict=True))
        raise ValueError(
            f"{name} at {cell} is {array[tuple(bad[0])]}; a target that was not reached needs "
            "a finite (penalised) value, or a rank or survival method"
        )
    return array


def paired_differences(
    first: ArrayLike, second: ArrayLike, name: str = "score", axes: tuple[str, ...] = ("fold",)
) -> np.ndarray:
    """``first - second`` of responses measured on the same splits.

    Raises:
      ValueError: different shapes, or a value that is NaN or infinite, named by its cell.
    """
    x, y = finite(first, f"first {name}", axes), finite(second, f"second {name}", axes)
    if x.shape != y.shape:
        raise ValueError(f"{name}s of shapes {x.shape} and {y.shape}: both must be measured on the same {axes[-1]}s")
    return x - y


def open_unit(value: float, name: str) -> float:
    """The value, if strictly between 0 and 1.

    Raises:
      ValueError: it is not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} = {value}: must lie strictly between 0 and 1")
    return value


def scaled(differences: np.ndarray) -> tuple[np.ndarray, float]:
    """The differences over their largest magnitude, and that magnitude: squares then neither over- nor underflow."""
    scale = float(np.abs(differences).max())
    return (differences / scale, scale) if scale > 0 else (differences, 0.0)


def undefined(method: str, df: tuple[float, ...], note: str, statistic: float = math.nan) -> Outcome:
    """No information: p = 1, flagged."""
    return Outcome(statistic, df, 1.0, method, True, note)
