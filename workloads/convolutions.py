"""How many entries a convolution adds around its input: the same numbers for both frameworks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Padding = Literal["SAME", "VALID"] | int


def paddings(space: Sequence[int], window: Sequence[int], stride: int, padding: Padding) -> list[tuple[int, int]]:
    """Entries (before, after) along each axis.

    ``SAME`` gives ceil(size / stride) outputs, and puts the odd entry behind, as XLA does.
    """
    if padding == "VALID":
        return [(0, 0)] * len(space)
    if padding != "SAME":
        return [(padding, padding)] * len(space)
    totals = [
        max((-(-size // stride) - 1) * stride + width - size, 0) for size, width in zip(space, window, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]
