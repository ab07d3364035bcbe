from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F


def summed(rows: Any, places: Any, count: int) -> Any:
    return rows.new_zeros(count, rows.shape[1]).index_add(0, places, rows)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        size, self.tasks = config["sizes"][config["size"]], config["tasks"]
        latent, hidden = size["latent"], size["hidden"]
        self.nodes, self.edges = nn.Linear(9, latent), nn.Linear(3, latent)
        self.rounds = nn.ModuleList()
        node = edge = latent
        graph, out = self.tasks, hidden[-1]
        for _ in range(size["rounds"]):
            widths = (edge + 2 * node + graph, node + 2 * out + graph, 2 * out + graph)
            self.rounds.append(nn.ModuleList(perceptron(width, *hidden) for width in widths))
            node = edge = graph = out
        self.decoder = nn.Linear(graph, self.tasks)

    def forward(self, batch: Any) -> Any:
        senders, receivers = batch["senders"], batch["receivers"]
        of_node, of_edge = batch["graph_of_node"], batch["graph_of_edge"]
        nodes, edges = self.nodes(batch["inputs"]), self.edges(batch["edges"])
        graphs = nodes.new_zeros(len(batch["targets"]) + 1, self.tasks)
        for edge_model, node_model, graph_model in self.rounds:
            edges = edge_model(torch.cat([edges, nodes[senders], nodes[receivers], graphs[of_edge]], dim=1))
            sent, received = summed(edges, senders, len(nodes)), summed(edges, receivers, len(nodes))
            nodes = node_model(torch.cat([nodes, sent, received, graphs[of_node]], dim=1))
            pooled = summed(nodes, of_node, len(graphs)), summed(edges, of_edge, len(graphs))
            graphs = graph_model(torch.cat([*pooled, graphs], dim=1))
        weights = batch["weights"]
        losses = F.binary_cross_entropy_with_logits(
            self.decoder(graphs[:-1]), batch["targets"], weights, reduction="sum"
        )
        return losses / weights.sum()


def perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers)


class Perceptron(linen.Module):
    widths: tuple[int, ...]

    @linen.compact
    def __call__(self, *parts: Any) -> Any:
        x = jnp.concatenate(parts, axis=1)
        for width in self.widths:
            x = linen.relu(linen.LayerNorm()(linen.Dense(width)(x)))
            x = linen.Dropout(0.1, deterministic=False)(x)
        return x


class JaxModel(linen.Module):
    tasks: int
    latent: int
    hidden: tuple[int, ...]
    rounds: int

    @linen.compact
    def __call__(self, batch: Any) -> Any:
        senders, receivers = batch["senders"], batch["receivers"]
        of_node, of_edge = batch["graph_of_node"], batch["graph_of_edge"]
        nodes, edges = linen.Dense(self.latent)(batch["inputs"]), linen.Dense(self.latent)(batch["edges"])
        graphs = jnp.zeros((len(batch["targets"]) + 1, self.tasks))
        for _ in range(self.rounds):
            edges = Perceptron(self.hidden)(edges, nodes[senders], nodes[receivers], graphs[of_edge])
            sent, received = (jax.ops.segment_sum(edges, ends, len(nodes)) for ends in (senders, receivers))
            nodes = Perceptron(self.hidden)(nodes, sent, received, graphs[of_node])
            of_nodes = jax.ops.segment_sum(nodes, of_node, len(graphs))
            of_edges = jax.ops.segment_sum(edges, of_edge, len(graphs))
            graphs = Perceptron(self.hidden)(of_nodes, of_edges, graphs)
        return linen.Dense(self.tasks)(graphs[:-1])


def jax_model(workload: Any) -> Any:
    config = workload.model_config
    size = config["sizes"][config["size"]]
    model = JaxModel(config["tasks"], size["latent"], size["hidden"], size["rounds"])

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits = model.apply(params, batch, rngs={"dropout": key})
        losses = optax.sigmoid_binary_cross_entropy(logits, batch["targets"])
        return (losses * batch["weights"]).sum() / batch["weights"].sum(), state

    return lambda key, batch: (model.init({"params": key, "dropout": key}, batch), None), loss
