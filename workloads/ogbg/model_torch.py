"""The graph network in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from workloads.layers_torch import ACTIVATIONS, Dense, LayerNorm
from workloads.ogbg.architecture import LAYER_NORM_EPS, Architecture, Block

Part = tuple[Tensor, Tensor | None]
"""Rows, and which of them each output row reads (None: its own)."""


class Model(nn.Module):
    """A collated batch of B graphs (see ``graphs.collate``) -> logits ``[B, tasks]``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = Architecture.of(config)
        self.tasks = config["tasks"]
        for name, inputs, outputs in self.architecture.embeddings:
            self.add_module(name, Dense(inputs, outputs))
        for i, blocks in enumerate(self.architecture.rounds):
            self.add_module(f"Round_{i}", Round(blocks, config["activation"]))
        name, inputs, outputs = self.architecture.decoder
        self.add_module(name, Dense(inputs, outputs))

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        graphs = len(batch["targets"])
        nodes, edges = self.Dense_0(batch["inputs"]), self.Dense_1(batch["edges"])
        state = nodes, edges, nodes.new_zeros(graphs + 1, self.tasks)
        for i in range(len(self.architecture.rounds)):
            state = self.get_submodule(f"Round_{i}")(*state, batch, dropout_rate)
        return self.Dense_2(state[2][:graphs])


class Round(nn.Module):
    """Renews edges, then nodes, then graphs."""

    def __init__(self, blocks: Sequence[Block], activation: str) -> None:
        super().__init__()
        for block in blocks:
            self.add_module(block.name.rpartition(".")[2], Perceptron(block, activation))

    def forward(
        self, nodes: Tensor, edges: Tensor, graphs: Tensor, batch: Mapping[str, Tensor], dropout_rate: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        senders, receivers = batch["senders"], batch["receivers"]
        of_node, of_edge = batch["graph_of_node"], batch["graph_of_edge"]
        edges = self.edge([(edges, None), (nodes, senders), (nodes, receivers), (graphs, of_edge)], dropout_rate)
        sent, received = (_sums(edges, ends, len(nodes)) for ends in (senders, receivers))
        nodes = self.node([(nodes, None), (sent, None), (received, None), (graphs, of_node)], dropout_rate)
        of_nodes, of_edges = _sums(nodes, of_node, len(graphs)), _sums(edges, of_edge, len(graphs))
        graphs = self.graph([(of_nodes, None), (of_edges, None), (graphs, None)], dropout_rate)
        return nodes, edges, graphs


class Perceptron(nn.Module):
    """Dense, LayerNorm, activation and dropout, once per width of the block."""

    def __init__(self, block: Block, activation: str) -> None:
        super().__init__()
        self.block = block
        self.activation = ACTIVATIONS[activation]
        for index, inputs, outputs in block.layers():
            dense = PartsDense(block.parts, outputs) if index == 0 else Dense(inputs, outputs)
            self.add_module(f"Dense_{index}", dense)
            self.add_module(f"LayerNorm_{index}", LayerNorm(outputs, eps=LAYER_NORM_EPS))

    def forward(self, parts: Sequence[Part], dropout_rate: float) -> Tensor:
        x: Any = parts
        for index, _, _ in self.block.layers():
            x = self.get_submodule(f"LayerNorm_{index}")(self.get_submodule(f"Dense_{index}")(x))
            x = self.activation(x)
            if dropout_rate:
                x = F.dropout(x, dropout_rate, self.training)
        return x


class PartsDense(Dense):
    """A Dense of concatenated parts without the concatenation.

    A part is multiplied by its columns of the weight before its rows are repeated for the edges that read them: there
    are several edges per node, so that this takes half of the multiplications.
    """

    def __init__(self, parts: tuple[int, ...], outputs: int) -> None:
        super().__init__(sum(parts), outputs)
        self.parts = parts

    def forward(self, parts: Sequence[Part]) -> Tensor:  # type: ignore[override]
        total: Any = None
        for (rows, reads), weight in zip(parts, self.weight.split(self.parts, dim=1), strict=True):
            product = F.linear(rows, weight, self.bias if total is None else None)
            product = product if reads is None else product.index_select(0, reads)
            total = product if total is None else total + product
        return total


def _sums(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """``[count, features]``: row i is the sum of the rows whose place is i."""
    return rows.new_zeros(count, rows.shape[1]).index_add(0, places, rows)
