"""Widths and names of the graph network, for its declaration and for both frameworks.

Battaglia et al. 2018 (arXiv 1806.01261), section 3.2: in every round each edge is renewed from itself, its two nodes
and its graph; each node from itself, the sums of its outgoing and of its incoming edges and its graph; each graph from
the sums of its nodes and of its edges and itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

NODE_FEATURES = 9
EDGE_FEATURES = 3
LAYER_NORM_EPS = 1e-6


@dataclasses.dataclass(frozen=True)
class Block:
    """One perceptron: layers of Dense, LayerNorm, activation and dropout.

    Attributes:
      name: where its parameters are, for example ``Round_0.edge``.
      parts: widths of the arrays that enter side by side.
      hidden: output widths of its layers.
    """

    name: str
    parts: tuple[int, ...]
    hidden: tuple[int, ...]

    def layers(self) -> Iterator[tuple[int, int, int]]:
        """(index, inputs, outputs)."""
        widths = (sum(self.parts), *self.hidden)
        return zip(range(len(self.hidden)), widths[:-1], widths[1:], strict=True)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Embeddings of nodes and edges, rounds of (edge, node, graph) blocks, and the logits from the graphs.

    Attributes:
      embeddings: (name, inputs, outputs) of the Dense for nodes and of the one for edges.
      rounds: the three blocks of every round.
      decoder: (name, inputs, outputs) of the Dense that makes the logits.
    """

    embeddings: tuple[tuple[str, int, int], ...]
    rounds: tuple[tuple[Block, Block, Block], ...]
    decoder: tuple[str, int, int]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        size, tasks = config["sizes"][config["size"]], config["tasks"]
        latent, hidden = size["latent"], tuple(size["hidden"])
        node = edge = latent
        graph, out = tasks, hidden[-1]
        rounds = []
        for i in range(size["rounds"]):
            rounds.append(
                (
                    Block(f"Round_{i}.edge", (edge, node, node, graph), hidden),
                    Block(f"Round_{i}.node", (node, out, out, graph), hidden),
                    Block(f"Round_{i}.graph", (out, out, graph), hidden),
                )
            )
            node = edge = graph = out
        embeddings = (("Dense_0", NODE_FEATURES, latent), ("Dense_1", EDGE_FEATURES, latent))
        return cls(embeddings, tuple(rounds), ("Dense_2", graph, tasks))
