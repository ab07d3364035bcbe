"""``algoperf.jax_sharding_utils``: shardings over one mesh axis ``batch`` of all devices."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def _mesh() -> Mesh:
    return Mesh(np.asarray(jax.devices()), ("batch",))


def get_replicate_sharding() -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(_mesh(), PartitionSpec())


def get_batch_dim_sharding() -> NamedSharding:
    """The first axis is split over the devices."""
    return NamedSharding(_mesh(), PartitionSpec("batch"))


def shard_along_batch_dim(x: Any) -> Any:
    return jax.device_put(x, get_batch_dim_sharding())


def replicate(x: Any) -> Any:
    return jax.device_put(x, get_replicate_sharding())


def display_shard_info(x: jax.Array) -> None:
    for shard in x.addressable_shards:
        print(f"{shard.device}: index {shard.index}, replica {shard.replica_id}")
