"""``algoperf.data_utils``: padding and splitting of numpy batches over devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np


def _devices() -> int:
    from harness.compat.environment import active_framework

    if active_framework() == "jax":
        import jax

        return jax.local_device_count()
    return 1


def _map(function: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _map(function, item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_map(function, item) for item in value)
    return function(value)


def pad(tensor: np.ndarray, pad_size: int, padding_value: float = 0) -> np.ndarray:
    """``[n, ...]`` -> ``[n + pad_size, ...]``, filled with a value at the end."""
    return np.pad(tensor, [(0, pad_size)] + [(0, 0)] * (tensor.ndim - 1), constant_values=padding_value)


def shard(batch: Any) -> Any:
    """``[B, ...]`` -> ``[devices, B / devices, ...]`` in every array."""
    devices = _devices()
    return _map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)


def shard_and_maybe_pad_np(
    batch: dict[str, Any], padding_value: int = 0, global_batch_size: int | None = None
) -> dict[str, Any]:
    """Pads a batch to ``global_batch_size``, or to a multiple of the number of devices, with ``weights`` that are 0 on
    the padding. Arrays keep one batch axis, as in AlgoPerf's present version.

    Raises:
      ValueError: the batch is larger than ``global_batch_size``.
    """
    inputs, targets = (v[0] if isinstance(v, tuple) else v for v in (batch["inputs"], batch["targets"]))
    size = len(inputs)
    wanted = global_batch_size if global_batch_size is not None else size + -size % _devices()
    if wanted < size:
        raise ValueError(f"a batch of {size} is larger than global_batch_size {wanted}")
    padded = dict(batch)
    if wanted > size:
        shape = targets.shape[: min(targets.ndim, 2)] if targets.ndim < 3 else targets.shape[:1]
        padded.setdefault("weights", np.ones(shape))
    result: dict[str, Any] = _map(lambda x: pad(np.asarray(x), wanted - size, padding_value), padded)
    return result


def cycle(iterable: Iterable[Any], keys: tuple[str, ...] = ("inputs", "targets"), **_: Any) -> Iterator[dict[str, Any]]:
    """The batches of an iterable, over and over, as dicts."""
    while True:
        for batch in iterable:
            yield dict(zip(keys, batch, strict=True))
