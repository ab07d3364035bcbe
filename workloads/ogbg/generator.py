"""Molecules with properties that follow from their structure, split by scaffold as ogbg-molpcba is.

A scaffold is a ring, a linker and a second ring, in this order; each belongs to one split. (Mirrored, a few look like
one of another split.) Answers are wrong now and then, and many are missing, as in real assays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates
from workloads.ogbg.labels import Structure, answers
from workloads.ogbg.molecules import LINKERS, RINGS, Molecule, bond_features, chances, grow, node_features, pick

_SCAFFOLDS = (len(RINGS), len(LINKERS), len(RINGS))
_CHUNK = 500
"""Molecules that are labelled at a time; keeps their distance matrices in the processor's cache."""


@announced(generates)
def generate(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` int32 ``[n, 24, 9]``, ``bonds`` int32 ``[n, 27, 5]``, ``targets`` and ``weights`` float32
    ``[n, 16]``; a missing answer has target and weight 0. Training molecules also have ``groups``, their scaffold."""
    rng = np.random.RandomState(config["seed"])
    owner = rng.permutation(np.repeat(np.arange(len(sizes)), _shares(sizes)))
    found = _molecules(rng, owner, list(sizes.values()), config["side_groups"])
    splits = {}
    for split, chosen in zip(sizes, found, strict=True):
        splits[split] = _assayed(rng, [molecule for molecule, _ in chosen], config)
        if split == "train":
            splits[split]["groups"] = np.array([scaffold for _, scaffold in chosen], np.int32)
    return splits


def _shares(sizes: Mapping[str, int]) -> np.ndarray:
    """How many scaffolds each split owns, in proportion to its examples."""
    bounds = np.cumsum([0, *sizes.values()]) * math.prod(_SCAFFOLDS) // sum(sizes.values())
    return np.diff(bounds)


def _molecules(
    rng: np.random.RandomState, owner: np.ndarray, sizes: list[int], side_groups: float
) -> list[list[tuple[Molecule, int]]]:
    """Distinct molecules, each with its scaffold, for every split until all are full."""
    found: list[list[tuple[Molecule, int]]] = [[] for _ in sizes]
    seen = set()
    for scaffold in _draws(rng):
        number = int(np.ravel_multi_index(scaffold, _SCAFFOLDS))
        split = owner[number]
        if len(found[split]) < sizes[split]:
            molecule = grow(rng, scaffold, side_groups)
            key = molecule and tuple(zip(molecule.elements, molecule.free, molecule.aromatic, strict=True))
            if molecule and key not in seen:
                seen.add(key)
                found[split].append((molecule, number))
        if [len(molecules) for molecules in found] == sizes:
            break
    return found


def _draws(rng: np.random.RandomState) -> Iterator[tuple[int, int, int]]:
    rings, linkers = (chances([weight for _, weight in table]) for table in (RINGS, LINKERS))
    while True:
        yield pick(rng, rings), pick(rng, linkers), pick(rng, rings)


def _assayed(rng: np.random.RandomState, molecules: list[Molecule], config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of molecules, with answers of which some are wrong and some missing."""
    nodes, bonds = node_features(molecules), bond_features(molecules)
    parts = [slice(i, i + _CHUNK) for i in range(0, len(nodes), _CHUNK)]
    true = np.concatenate([answers(Structure(nodes[part], bonds[part])) for part in parts])
    wrong = rng.random_sample(true.shape) < config["wrong"]
    weights = (rng.random_sample(true.shape) >= config["missing"]).astype(np.float32)
    targets = np.abs(true - wrong).astype(np.float32) * weights
    return {"inputs": nodes, "bonds": bonds, "targets": targets, "weights": weights}
