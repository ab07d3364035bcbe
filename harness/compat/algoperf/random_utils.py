"""``algoperf.random_utils``: keys of jax.random under jax, pairs of int32 seeds under torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.seeds import derive

_MAX = 2**31 - 1


def _uses_jax() -> bool:
    from harness.compat.environment import active_framework

    return active_framework() == "jax"


def PRNGKey(seed: int) -> Any:  # noqa: N802
    if _uses_jax():
        import jax

        return jax.random.PRNGKey(seed)
    return _pairs(1, key=int(seed))[0]


def split(seed: Any, num: int = 2) -> Any:
    """``num`` new keys, ``[num, 2]``."""
    if _uses_jax():
        import jax

        return jax.random.split(seed, num)
    return _pairs(num, split_of=_words(seed))


def fold_in(seed: Any, data: int) -> Any:
    """A key that depends on both."""
    if _uses_jax():
        import jax

        return jax.random.fold_in(seed, data)
    return _pairs(1, folded=[*_words(seed), int(data)])[0]


def _words(seed: Any) -> list[int]:
    return [int(word) for word in np.atleast_1d(np.asarray(seed)).tolist()]


def _pairs(count: int, **axes: Any) -> np.ndarray:
    return np.random.RandomState(derive(**axes) % 2**32).randint(0, _MAX, size=(count, 2), dtype=np.int32)
