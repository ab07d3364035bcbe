"""jax in the layout of the pmap era: parameters and model state are replicated, with a leading axis of one entry per
device; batches ``[B, ...]`` become ``[devices, B / devices, ...]``. Parameter shapes and types have no such axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from harness.frameworks.jax import JaxBackend
from harness.spec import Workload


def replicate(tree: Any) -> Any:
    """A copy per device, stacked: each leaf gets a leading axis of the number of devices."""
    devices = jax.local_device_count()
    return jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], devices, axis=0), tree)


def unreplicate(tree: Any) -> Any:
    """The first device's copy."""
    return jax.tree.map(lambda x: x[0], tree)


class PmapBackend(JaxBackend):
    def init_model(self, workload: Workload, rng: Any, dropout_rate: float | None) -> Any:
        return replicate(super().init_model(workload, rng, dropout_rate))

    def to_framework(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Numpy arrays with a device axis, as AlgoPerf's pipelines of that era gave them; pmap places them."""
        devices = jax.local_device_count()

        def split(array: np.ndarray) -> np.ndarray:
            return array.reshape(devices, -1, *array.shape[1:])

        return jax.tree.map(split, dict(batch))

    def export_parameters(self, workload: Workload, params: Any) -> dict[str, np.ndarray]:
        return super().export_parameters(workload, unreplicate(params))

    def import_parameters(self, workload: Workload, params: Any, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return replicate(super().import_parameters(workload, unreplicate(params), values))

    def export_statistics(self, workload: Workload, params: Any, model_state: Any) -> dict[str, np.ndarray]:
        return super().export_statistics(workload, params, unreplicate(model_state))

    def layer_outputs(
        self, workload: Workload, params: Any, model_state: Any, batch: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        plain = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), dict(batch))
        return super().layer_outputs(workload, unreplicate(params), unreplicate(model_state), plain)
