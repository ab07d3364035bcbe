"""Graphs as arrays: one row of arrays per graph where they are stored, one graph of many parts where they are used.

A stored graph has ``inputs``, its nodes' features, and ``bonds``, undirected: two node numbers, then the features. Both
are padded with rows of -1 up to a common length, so that the first axis counts graphs and any index picks examples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from workloads.ogbg.architecture import EDGE_FEATURES, NODE_FEATURES

PADDING = -1
_GROWTH = 1.25
"""How much larger the arrays get when an unusual batch does not fit."""


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Examples of different lengths without padding: rows ``starts[i]`` to ``starts[i + 1]`` of ``rows`` are example i.

    A slice of it is again a ``Ragged``; indexed by an array of positions it is a plain array, padded with PADDING to
    the longest of the chosen.
    """

    rows: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, lengths: np.ndarray) -> Ragged:
        return cls(rows, np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: slice | np.ndarray) -> Ragged | np.ndarray:
        chosen = np.arange(len(self))[index]
        if isinstance(index, slice):
            return self.take(chosen)
        lengths = self.starts[chosen + 1] - self.starts[chosen]
        real = np.arange(lengths.max(initial=0)) < lengths[:, None]
        padded = np.full((*real.shape, *self.rows.shape[1:]), PADDING, self.rows.dtype)
        padded[real] = self.take(chosen).rows
        return padded

    def take(self, chosen: np.ndarray) -> Ragged:
        """The examples at these positions, in this order."""
        lengths = self.starts[chosen + 1] - self.starts[chosen]
        before = np.cumsum(lengths) - lengths
        return Ragged.of(
            self.rows[np.repeat(self.starts[chosen] - before, lengths) + np.arange(lengths.sum())], lengths
        )


def collate(batch: Mapping[str, np.ndarray], nodes_per_graph: int, edges_per_graph: int) -> dict[str, np.ndarray]:
    """B stored graphs -> one graph, for both frameworks; what is not of graphs is passed on.

    Arrays get ``nodes_per_graph * B + 1`` nodes and ``edges_per_graph * B`` directed edges whatever the graphs (more in
    fixed steps where that is not enough), so that a compiled step is compiled once.

    Returns:
      ``inputs`` float32 ``[N, 9]`` (nodes), ``edges`` float32 ``[E, 3]``, ``senders`` and ``receivers`` int32 ``[E]``
      (every bond in both directions), ``graph_of_node`` ``[N]`` and ``graph_of_edge`` ``[E]`` int32 in 0 .. B. Graph B
      is padding: it has at least the last node, and all padding edges are loops there.
    """
    stored_nodes, stored_bonds = batch["inputs"], batch["bonds"]
    real_nodes, real_bonds = stored_nodes[:, :, 0] != PADDING, stored_bonds[:, :, 0] != PADDING
    counts = real_nodes.sum(axis=1)
    bonds, graph_of_bond = stored_bonds[real_bonds], real_bonds.nonzero()[0]
    ends = bonds[:, :2] + (np.cumsum(counts) - counts)[graph_of_bond, None]

    graphs, edge_count = len(counts), 2 * len(bonds)
    size = _capacity(nodes_per_graph * graphs + 1, int(counts.sum()) + 1)
    edge_size = _capacity(edges_per_graph * graphs, edge_count)

    nodes = np.zeros((size, NODE_FEATURES), np.float32)
    graph_of_node = np.full(size, graphs, np.int32)
    nodes[: counts.sum()] = stored_nodes[real_nodes]
    graph_of_node[: counts.sum()] = np.repeat(np.arange(graphs), counts)

    edges = np.zeros((edge_size, EDGE_FEATURES), np.float32)
    senders, receivers = np.full((2, edge_size), size - 1, np.int32)
    graph_of_edge = np.full(edge_size, graphs, np.int32)
    forth, back = slice(0, len(bonds)), slice(len(bonds), edge_count)
    for direction, (sender, receiver) in ((forth, (0, 1)), (back, (1, 0))):
        edges[direction] = bonds[:, 2:]
        senders[direction], receivers[direction] = ends[:, sender], ends[:, receiver]
        graph_of_edge[direction] = graph_of_bond
    return {
        **{name: array for name, array in batch.items() if name != "bonds"},
        "inputs": nodes,
        "edges": edges,
        "senders": senders,
        "receivers": receivers,
        "graph_of_node": graph_of_node,
        "graph_of_edge": graph_of_edge,
    }


def _capacity(usual: int, needed: int) -> int:
    while usual < needed:
        usual = math.ceil(usual * _GROWTH)
    return usual
