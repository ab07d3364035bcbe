"""jax in the layout of the jit era: what an entry is given and what it makes of it lies replicated over all devices.

An entry's compiled step returns arrays that are placed so. Were the first ones placed otherwise, the second step would
be compiled anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from harness.frameworks.jax import JaxBackend
from harness.spec import Workload


def replicated(tree: Any) -> Any:
    """The tree with its arrays placed on all devices; other leaves are left as they are."""
    sharding = NamedSharding(Mesh(np.asarray(jax.devices()), ("batch",)), PartitionSpec())
    return jax.tree.map(lambda x: jax.device_put(x, sharding) if isinstance(x, jax.Array) else x, tree)


def placing(init_optimizer_state: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose optimizer state lies where the parameters lie."""

    @functools.wraps(init_optimizer_state)
    def placed(*args: Any, **named: Any) -> Any:
        return replicated(init_optimizer_state(*args, **named))

    return placed


class JitBackend(JaxBackend):
    def init_model(self, workload: Workload, rng: Any, dropout_rate: float | None) -> Any:
        return replicated(super().init_model(workload, rng, dropout_rate))
