"""Floating-point operations of one training step: the forward and backward pass on a batch, without the optimizer.

torch counts matrix products and convolutions as they run; jax asks its compiler's analysis of the program, which counts
every operation. So the two differ by what is not a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.resume import random_states, set_random_states
from harness.spec import ForwardPassMode

if TYPE_CHECKING:
    from harness.trial import TrainingLoop


def flops_per_step(loop: TrainingLoop) -> float | None:
    """Of a training loop whose parameters are made; it is left as it was. None where the entry's layout of parameters
    is not the workload's own (the pmap era)."""
    if loop.task.entry.conventions.jax_era == "pmap" and loop.backend.framework == "jax":
        return None
    drawn, generators = loop.queue.batches, random_states()
    try:
        return _COUNTERS[loop.backend.framework](loop, next(loop.queue))
    finally:
        loop.queue.go_to(drawn)
        set_random_states(generators)


def _fresh(loop: TrainingLoop) -> tuple[Any, Any]:
    """A model and state of the same shapes on which nothing of the entry's hangs: this is off the clock."""
    return loop.workload.init_model_fn(loop.random_key("model"))


def _mean_loss(loop: TrainingLoop, params: Any, model_state: Any, batch: Mapping[str, Any], key: Any) -> Any:
    logits, _ = loop.workload.model_fn(params, batch, model_state, ForwardPassMode.TRAIN, key, False)
    loss = loop.workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    return loss["summed"] / loss["n_valid_examples"]


def _torch_flops(loop: TrainingLoop, batch: Mapping[str, Any]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    model, state = _fresh(loop)
    counter = FlopCounterMode(display=False)
    with counter:
        _mean_loss(loop, model, state, batch, loop.random_key("flops")).backward()
    return float(counter.get_total_flops())


def _jax_flops(loop: TrainingLoop, batch: Mapping[str, Any]) -> float:
    import jax

    key = loop.random_key("flops")

    def loss(params: Any, model_state: Any, batch: Mapping[str, Any]) -> Any:
        return _mean_loss(loop, params, model_state, batch, key)

    lowered = jax.jit(jax.grad(loss)).lower(*_fresh(loop), batch)
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


_COUNTERS: Mapping[str, Callable[[TrainingLoop, Mapping[str, Any]], float]] = {
    "torch": _torch_flops,
    "jax": _jax_flops,
}
