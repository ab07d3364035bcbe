"""The graph network in jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from workloads.layers_jax import ACTIVATIONS, Scope, dense, dropout, layer_norm, matmul
from workloads.ogbg.architecture import LAYER_NORM_EPS, Architecture, Block

Part = tuple[jax.Array, jax.Array | None]
"""Rows, and which of them each output row reads (None: its own)."""


def apply(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    model_state: Any,
    batch: Mapping[str, jax.Array],
    *,
    train: bool,
    rng: jax.Array | None,
    dropout_rate: Any,
    update_batch_norm: bool,
) -> tuple[jax.Array, Any]:
    """A collated batch of B graphs (see ``graphs.collate``) -> logits ``[B, tasks]``."""
    scope, a = Scope(params), Architecture.of(config)
    senders, receivers = batch["senders"], batch["receivers"]
    of_node, of_edge = batch["graph_of_node"], batch["graph_of_edge"]
    keys = iter([] if rng is None else jax.random.split(rng, sum(len(b.hidden) for blocks in a.rounds for b in blocks)))

    def dropped(x: jax.Array) -> jax.Array:
        return dropout(x, dropout_rate, next(keys, None), train=train)

    def renewed(block: Block, *parts: Part) -> jax.Array:
        return _perceptron(scope, block, parts, ACTIVATIONS[config["activation"]], dropped)

    nodes, edges = dense(scope["Dense_0"], batch["inputs"]), dense(scope["Dense_1"], batch["edges"])
    graphs = jnp.zeros((len(batch["targets"]) + 1, config["tasks"]), nodes.dtype)
    for edge_block, node_block, graph_block in a.rounds:
        edges = renewed(edge_block, (edges, None), (nodes, senders), (nodes, receivers), (graphs, of_edge))
        sent, received = (_sums(edges, ends, len(nodes)) for ends in (senders, receivers))
        nodes = renewed(node_block, (nodes, None), (sent, None), (received, None), (graphs, of_node))
        of_nodes, of_edges = (_sums(x, of, len(graphs)) for x, of in ((nodes, of_node), (edges, of_edge)))
        graphs = renewed(graph_block, (of_nodes, None), (of_edges, None), (graphs, None))
    return dense(scope["Dense_2"], graphs[:-1]), model_state


def _perceptron(
    scope: Scope,
    block: Block,
    parts: Sequence[Part],
    activation: Callable[[jax.Array], jax.Array],
    dropped: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """Dense, LayerNorm, activation and dropout, once per width of the block."""
    for name in block.name.split("."):
        scope = scope[name]
    x = _parts_dense(scope["Dense_0"], block.parts, parts)
    for index, _, _ in block.layers():
        x = x if index == 0 else dense(scope[f"Dense_{index}"], x)
        x = dropped(activation(layer_norm(scope[f"LayerNorm_{index}"], x, LAYER_NORM_EPS)))
    return x


def _parts_dense(scope: Scope, widths: Sequence[int], parts: Sequence[Part]) -> jax.Array:
    """A Dense of concatenated parts without the concatenation; see ``model_torch.PartsDense``."""
    total, start = scope.value("bias"), 0
    for (rows, reads), width in zip(parts, widths, strict=True):
        product = matmul(rows, scope.value("kernel")[start : start + width])
        total = total + (product if reads is None else product.at[reads].get(mode="promise_in_bounds"))
        start += width
    return scope.record(total)


def _sums(rows: jax.Array, places: jax.Array, count: int) -> jax.Array:
    """``[count, features]``: row i is the sum of the rows whose place is i."""
    return jax.ops.segment_sum(rows, places, count)
