"""Which columns of k-space are measured: the centre, and of the others a random few (Zbontar et al. 2018, arXiv
1811.08839, section 4.1), a quarter of all columns on average."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

_CENTRE_FRACTION = np.float32(0.08)
_ACCELERATION = np.float32(4)
_EVALUATION_SEED = (0, 0)
_WORD = 0xFFFFFFFF


def training_masks(random: np.random.RandomState, widths: np.ndarray, columns: int) -> np.ndarray:
    """One fresh mask per example, bool ``[B, columns]``; columns beyond an example's width are False."""
    uniform = random.random_sample((len(widths), columns)).astype(np.float32)
    masks = np.zeros(uniform.shape, bool)
    for row, width in enumerate(widths):
        masks[row, :width] = _mask(uniform[row, :width])
    return masks


@functools.cache
def evaluation_mask(width: int) -> np.ndarray:
    """The mask of all evaluated slices of this width, bool ``[width]``: AlgoPerf's, which its targets presuppose."""
    groups = list(_uniform_groups(_EVALUATION_SEED, (width + 3) // 4))
    mask = _mask(np.array(groups, np.float32).ravel()[:width])
    mask.flags.writeable = False
    return mask


def _mask(uniform: np.ndarray) -> np.ndarray:
    width = len(uniform)
    centre = int(np.float32(width) * _CENTRE_FRACTION)
    chance = (np.float32(width) / _ACCELERATION - centre) / np.float32(width - centre)
    mask = uniform < np.float32(chance)
    start = (width - centre + 1) // 2
    mask[start : start + centre] = True
    return mask


def _uniform_groups(seed: tuple[int, int], count: int) -> Iterator[list[np.float32]]:
    """What TensorFlow's ``stateless_uniform`` draws, four at a time: Philox with a key and a counter that are
    themselves Philox of the seed; 23 random bits become the mantissa of a number in [1, 2)."""
    counter = [seed[0] & _WORD, seed[0] >> 32, seed[1] & _WORD, seed[1] >> 32]
    mixed = philox(counter, [0x3EC8F720, 0x02461E29])
    for group in range(count):
        words = np.array(philox([group, 0, *mixed[2:]], mixed[:2]), np.uint32)
        yield list(((words & 0x7FFFFF) | 0x3F800000).view(np.float32) - 1)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32 with ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four 32-bit
    words from four of counter and two of key."""
    (a, b, c, d), (k0, k1) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (right >> 32) ^ b ^ k0, right & _WORD, (left >> 32) ^ d ^ k1, left & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return [a, b, c, d]
