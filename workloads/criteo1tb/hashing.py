"""From a category's hexadecimal code to a row of the shared embedding table.

A code is a number below 2^32. Put behind the number of its column, it is mixed by the output function of SplitMix64
(Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195), taken modulo the number of values that AlgoPerf reckons with
in that column, and then modulo the rows of the table. AlgoPerf hashes the text (FarmHash) where this hashes the
number; which codes collide is different, how many is not.
"""

from __future__ import annotations

import numpy as np

from workloads.criteo1tb.architecture import CATEGORIES

COLUMN_SIZES = (
    39_884_406, 39_043, 17_289, 7_420, 20_263, 3, 7_120, 1_543, 63, 38_532_951, 2_953_546, 403_346, 10,
    2_208, 11_938, 155, 4, 976, 14, 39_979_771, 25_641_295, 39_664_984, 585_935, 12_972, 108, 36,
)  # fmt: skip
"""Values that a column is hashed into, before the table's size is."""


def table_rows(codes: np.ndarray, rows: int) -> np.ndarray:
    """Rows below ``rows`` of codes ``[n, 26]`` (uint32), as int64."""
    mixed = (np.arange(CATEGORIES, dtype=np.uint64) << np.uint64(32)) | codes.astype(np.uint64)
    mixed += np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.array(COLUMN_SIZES, np.uint64) % np.uint64(rows)).astype(np.int64)
