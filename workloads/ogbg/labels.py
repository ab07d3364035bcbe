"""What the generated molecules are asked: sixteen questions about their structure, all molecules at once.

Some are local (an acid), most join two places some bonds apart, or count over the whole molecule.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from workloads.ogbg.molecules import (
    BROMINE,
    CARBON,
    CHLORINE,
    DOUBLE,
    FLUORINE,
    NITROGEN,
    OXYGEN,
    SINGLE,
    SULFUR,
    TRIPLE,
)

TASKS = 16
_FAR = 99


@dataclasses.dataclass(frozen=True)
class Structure:
    """Molecules as padded arrays: ``nodes [n, N, 9]`` and ``bonds [n, M, 5]``, see ``molecules``."""

    nodes: np.ndarray
    bonds: np.ndarray

    @functools.cached_property
    def kinds(self) -> np.ndarray:
        """Type of the bond between two atoms, ``[n, N, N]``; -1 where there is none."""
        n, size = self.nodes.shape[:2]
        kinds = np.full((n, size, size), -1, np.int8)
        molecule, bond = (self.bonds[:, :, 0] >= 0).nonzero()
        a, b, kind = self.bonds[molecule, bond, :3].T
        kinds[molecule, a, b] = kinds[molecule, b, a] = kind
        return kinds

    @functools.cached_property
    def distances(self) -> np.ndarray:
        """Bonds on the shortest path between two atoms, ``[n, N, N]``; _FAR where there is no path."""
        adjacent = (self.kinds >= 0).astype(np.float32)
        n, size = adjacent.shape[:2]
        distances = np.full((n, size, size), _FAR, np.int8)
        reached = np.broadcast_to(np.eye(size, dtype=np.float32), adjacent.shape)
        for bonds in range(size):
            new = (reached > 0) & (distances == _FAR)
            if not new.any():
                break
            distances[new] = bonds
            reached = new.astype(np.float32) @ adjacent
        real = self.nodes[:, :, 0] >= 0
        distances[~real] = _FAR
        return distances

    def element(self, *codes: int) -> np.ndarray:
        return np.isin(self.nodes[:, :, 0], codes)

    def flag(self, column: int) -> np.ndarray:
        return self.nodes[:, :, column] == 1

    def beside(self, atoms: np.ndarray, *kinds: int) -> np.ndarray:
        """Number of the given atoms that each atom is bound to, by a bond of one of these types."""
        return (np.isin(self.kinds, kinds or (0, 1, 2, 3)) & atoms[:, None, :]).sum(axis=2)

    def within(self, first: np.ndarray, second: np.ndarray, low: int, high: int) -> np.ndarray:
        """Whether one of the first atoms and one of the second are ``low`` to ``high`` bonds apart, ``[n]``."""
        near = (self.distances >= low) & (self.distances <= high)
        return (near & first[:, :, None] & second[:, None, :]).any(axis=(1, 2))


def answers(s: Structure) -> np.ndarray:
    """``[n, 16]`` of 0 and 1."""
    carbon, nitrogen, oxygen, sulfur = (s.element(code) for code in (CARBON, NITROGEN, OXYGEN, SULFUR))
    halogen = s.element(FLUORINE, CHLORINE, BROMINE)
    hydrogens, degree = np.maximum(s.nodes[:, :, 4], 0), s.nodes[:, :, 2]
    aromatic, in_ring = s.flag(7), s.flag(8)
    carbonyl = carbon & (s.beside(oxygen, DOUBLE) > 0)
    hydroxyl = oxygen & (hydrogens == 1)
    acid = carbonyl & (s.beside(hydroxyl, SINGLE) > 0)
    amide = nitrogen & (s.beside(carbonyl) > 0)
    donor = (nitrogen | oxygen) & (hydrogens > 0)
    amine = nitrogen & ~amide & ~aromatic & (s.beside(aromatic) == 0) & (s.nodes[:, :, 6] == 2)
    ether = oxygen & (degree == 2) & ~aromatic & (s.beside(carbonyl) == 0)
    nitrile = nitrogen & (s.beside(carbon, TRIPLE) > 0)
    inner = degree > 1
    turning = (s.kinds == SINGLE) & inner[:, :, None] & inner[:, None, :]
    rotatable = (turning & ~(in_ring[:, :, None] & in_ring[:, None, :])).sum(axis=(1, 2)) // 2

    def count(atoms: np.ndarray) -> np.ndarray:
        return atoms.sum(axis=1)

    paths = np.where(s.distances == _FAR, 0, s.distances)
    fatty = 0.4 * count(carbon) + 0.7 * count(halogen) + 0.3 * count(sulfur) + 0.2 * count(aromatic)
    fatty = fatty - 1.0 * count(donor) - 0.6 * count(oxygen) - 0.7 * count(amine)
    polar = 17.0 * count(oxygen) + 12.0 * count(nitrogen) + 9.0 * count(donor) + 12.0 * count(nitrile)
    return np.stack(
        (
            count(acid) > 0,
            (count(amide) > 0) & s.within(halogen, amide, 1, 6),
            count(nitrogen & aromatic) >= 2,
            s.within(donor, carbonyl & ~acid, 2, 3),
            s.within(halogen, oxygen, 2, 4),
            paths.max(axis=(1, 2)) >= 12,
            fatty > 6.5,
            polar > 95,
            s.within(aromatic & (s.beside(donor) > 0), aromatic & (s.beside(halogen) > 0), 1, 2),
            s.within(nitrogen, sulfur, 1, 3),
            s.within(halogen, halogen, 3, 5),
            (count(donor) >= 2) & (count(aromatic) >= 10),
            rotatable >= 5,
            s.within(ether, ether | hydroxyl, 2, 4),
            s.within(amine, aromatic, 3, 4) & (count(carbonyl) == 0),
            s.within(carbonyl, carbonyl, 3, 7),
        ),
        axis=1,
    ).astype(np.float32)
