"""Floating-point operations of one training step: the forward and backward pass on a batch, without the optimizer.

torch counts matrix products and convolutions as they run; jax asks its compiler's analysis of the program, which counts
every operation. So the two differ by what is not a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.frameworks import TrialBackend
from harness.seeds import key_words
from harness.spec import ForwardPassMode, Workload


def flops_per_step(workload: Workload, backend: TrialBackend, batch_size: int) -> float:
    """Of a batch of the training set's first examples, with augmentation.

    Args:
      workload: bound to ``backend``, the framework's plain one.
    """
    arrays = workload.examples("train")
    chosen = np.arange(batch_size) % len(arrays["targets"])
    stored = {name: array[chosen] for name, array in arrays.items()}
    if workload.augments:
        stored = dict(workload.augment(stored, np.random.RandomState(0)))
    batch = backend.to_framework(workload.collate(stored))
    return _COUNTERS[backend.framework](workload, batch, backend.random_key(key_words(0, 0)))


def _mean_loss(workload: Workload, params: Any, model_state: Any, batch: Mapping[str, Any], key: Any) -> Any:
    logits, _ = workload.model_fn(params, batch, model_state, ForwardPassMode.TRAIN, key, False)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    return loss["summed"] / loss["n_valid_examples"]


def _torch_flops(workload: Workload, batch: Mapping[str, Any], key: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    model, state = workload.init_model_fn(key)
    counter = FlopCounterMode(display=False)
    with counter:
        _mean_loss(workload, model, state, batch, key).backward()
    return float(counter.get_total_flops())


def _jax_flops(workload: Workload, batch: Mapping[str, Any], key: Any) -> float:
    import jax

    def loss(params: Any, model_state: Any, batch: Mapping[str, Any]) -> Any:
        return _mean_loss(workload, params, model_state, batch, key)

    lowered = jax.jit(jax.grad(loss)).lower(*workload.init_model_fn(key), batch)
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


_COUNTERS: Mapping[str, Callable[[Workload, Mapping[str, Any], Any], float]] = {
    "torch": _torch_flops,
    "jax": _jax_flops,
}
