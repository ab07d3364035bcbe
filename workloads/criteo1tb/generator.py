"""Synthetic click logs with the traits that make Criteo's hard.

Rows have 13 counts and 26 categories with long-tailed vocabularies, some of them correlated through a hidden user.
Whether a row is clicked depends on the counts, on each category alone, on pairs of categories (which a model finds by
dot products of embeddings), and on counts that matter for certain categories only. Validation and test come from a
drifted day: categories keep most of their effect, but not all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates
from workloads.criteo1tb.architecture import CATEGORIES, DENSE

_QUANTILES = 1 << 18
"""Resolution of the tables that turn uniform numbers into categories."""
_LATENT = 4
_PAIRS = 14
_GATES = 3
_ROWS = 1 << 16
"""Rows made at a time, so that they stay in the processor's cache."""


@announced(generates)
def generate(config: Mapping[str, Any], vocabulary: int, sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` float32 ``[n, 39]`` and ``targets`` float32 ``[n, 1]``.

    Columns 0-12 of the inputs are log(1 + count), columns 13-38 are ids below ``vocabulary``.
    """
    rng = np.random.RandomState(config["seed"])
    world = _make_world(rng, config, vocabulary)
    drifted = _drift(rng, world, config)
    splits = {}
    for split, size in sizes.items():
        day = world if split == "train" else drifted
        inputs, targets = np.empty((size, DENSE + CATEGORIES), np.float32), np.empty((size, 1), np.float32)
        for start in range(0, size, _ROWS):
            rows = slice(start, min(start + _ROWS, size))
            click_probability = _fill_rows(rng, day, inputs[rows])
            targets[rows, 0] = rng.random_sample(len(click_probability)) < click_probability
        splits[split] = {"inputs": inputs, "targets": targets}
    return splits


@dataclasses.dataclass(frozen=True)
class World:
    """Everything that is fixed while rows are drawn. Lists have one item per category column.

    Attributes:
      quantiles: category of a uniform number, ``[_QUANTILES]``.
      ids: embedding row of a category.
      user_weight: correlation of a column with the hidden user, 0 for most.
      effect: logit of a category by itself.
      latent: vectors whose dot products are the logits of pairs, ``[categories, _LATENT]``.
      pairs: columns that interact.
      gates: columns whose first latent switches a projection of the counts.
      dense_user, dense_weight: effect of the user on a count; of a count on the logit.
      gate_weight: ``[_GATES, DENSE]``.
      bias: logit of the average row.
    """

    quantiles: list[np.ndarray]
    ids: list[np.ndarray]
    user_weight: np.ndarray
    effect: list[np.ndarray]
    latent: list[np.ndarray]
    pairs: list[tuple[int, int]]
    gates: list[int]
    dense_user: np.ndarray
    dense_weight: np.ndarray
    gate_weight: np.ndarray
    bias: float


def _make_world(rng: np.random.RandomState, config: Mapping[str, Any], vocabulary: int) -> World:
    raw_sizes = np.rint(np.geomspace(config["smallest"], config["largest"], CATEGORIES)).astype(int)
    raw_sizes = raw_sizes[rng.permutation(CATEGORIES)]
    tails = rng.uniform(1.05, 1.4, CATEGORIES)
    user_weight = np.where(np.arange(CATEGORIES) % 3 == 0, config["user_correlation"], 0.0)
    pairs = [(a, b) for a in range(CATEGORIES) for b in range(a)]
    chosen = rng.permutation(len(pairs))[:_PAIRS]
    return World(
        quantiles=[_zipf_quantiles(n, tail) for n, tail in zip(raw_sizes, tails, strict=True)],
        ids=[_hashed_ids(column, n, vocabulary) for column, n in enumerate(raw_sizes)],
        user_weight=user_weight,
        effect=[_standard(rng, n) * np.float32(config["effect"]) for n in raw_sizes],
        latent=[_standard(rng, n, _LATENT) * np.float32(config["pair_effect"]) for n in raw_sizes],
        pairs=[pairs[i] for i in chosen],
        gates=list(rng.permutation(CATEGORIES)[:_GATES]),
        dense_user=rng.uniform(-0.4, 0.4, DENSE).astype(np.float32),
        dense_weight=_standard(rng, DENSE) * np.float32(config["dense_effect"]),
        gate_weight=_standard(rng, _GATES, DENSE) * np.float32(0.5),
        bias=config["bias"],
    )


def _drift(rng: np.random.RandomState, world: World, config: Mapping[str, Any]) -> World:
    """The same population on a later day: part of every effect and latent vector is replaced."""
    kept, new = np.float32(np.sqrt(1 - config["drift"] ** 2)), np.float32(config["drift"])

    def aged(values: np.ndarray, scale: float) -> np.ndarray:
        return kept * values + new * np.float32(scale) * _standard(rng, *values.shape)

    return dataclasses.replace(
        world,
        effect=[aged(values, config["effect"]) for values in world.effect],
        latent=[aged(values, config["pair_effect"]) for values in world.latent],
    )


def _fill_rows(rng: np.random.RandomState, world: World, inputs: np.ndarray) -> np.ndarray:
    """Writes rows into ``inputs [n, 39]``; returns the probabilities of a click, ``[n]``."""
    n = len(inputs)
    user = _standard(rng, n)
    normal = _standard(rng, n, DENSE) + user[:, None] * world.dense_user
    counts = np.floor(3 * np.exp(normal)) * (rng.random_sample((n, DENSE)) >= 0.15)
    dense = np.log1p(counts).astype(np.float32)
    inputs[:, :DENSE] = dense

    raw = [_draw_categories(rng, user, world, column) for column in range(CATEGORIES)]
    for column, drawn in enumerate(raw):
        inputs[:, DENSE + column] = world.ids[column][drawn]

    centred = dense - np.float32(1.3)
    logit = world.bias + centred @ world.dense_weight
    for column, drawn in enumerate(raw):
        logit += world.effect[column][drawn]
    for a, b in world.pairs:
        logit += np.einsum("nk,nk->n", world.latent[a][raw[a]], world.latent[b][raw[b]])
    for gate, weight in zip(world.gates, world.gate_weight, strict=True):
        logit += world.latent[gate][raw[gate], 0] * np.tanh(centred @ weight)
    return 1 / (1 + np.exp(-logit))


def _draw_categories(rng: np.random.RandomState, user: np.ndarray, world: World, column: int) -> np.ndarray:
    weight = world.user_weight[column]
    if weight == 0:
        at = rng.randint(_QUANTILES, size=len(user))
    else:
        from scipy.special import ndtr

        mixed = weight * user + np.float32(np.sqrt(1 - weight**2)) * _standard(rng, len(user))
        at = np.minimum(ndtr(mixed) * _QUANTILES, _QUANTILES - 1).astype(np.int64)
    return world.quantiles[column][at]


def _zipf_quantiles(n: int, tail: float) -> np.ndarray:
    """Category 0 .. n-1 of each quantile, for probabilities proportional to (rank + 1)^-tail."""
    cumulative = np.cumsum(np.arange(1, n + 1) ** -tail)
    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES * cumulative[-1]
    return np.searchsorted(cumulative, places).astype(np.int32)


def _hashed_ids(column: int, n: int, vocabulary: int) -> np.ndarray:
    """Category and column mixed (splitmix64's finaliser), modulo the vocabulary: collisions occur, as in Criteo."""
    mixed = np.arange(n, dtype=np.uint64) + np.uint64((column + 1) << 32)
    for multiplier, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(multiplier)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(vocabulary)).astype(np.float32)


def _standard(rng: np.random.RandomState, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)
