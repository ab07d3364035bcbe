"""Grows drug-like molecules: rings joined by linkers, then side groups, under the limits of valence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

CARBON, NITROGEN, OXYGEN, FLUORINE, SULFUR, CHLORINE, BROMINE = 5, 6, 7, 8, 15, 16, 34
"""Elements as OGB codes them: the atomic number less one."""
VALENCE = {CARBON: 4, NITROGEN: 3, OXYGEN: 2, FLUORINE: 1, SULFUR: 2, CHLORINE: 1, BROMINE: 1}
SINGLE, DOUBLE, TRIPLE, AROMATIC = range(4)
NEUTRAL = 5
"""OGB's code of no formal charge."""
MAX_NODES, MAX_BONDS = 24, 27

_ELEMENTS = {"C": CARBON, "N": NITROGEN, "O": OXYGEN, "F": FLUORINE, "S": SULFUR, "L": CHLORINE, "B": BROMINE}


@dataclasses.dataclass(frozen=True)
class Piece:
    """Atoms and bonds ``(atom, atom, order 1-3)``; its first atom is joined to what is already there.

    ``aromatic`` rings have alternating orders here, which leaves the right valences free.
    """

    atoms: str
    bonds: tuple[tuple[int, int, int], ...]
    ring: bool = False
    aromatic: bool = False
    charges: tuple[tuple[int, int], ...] = ()


def _ring(atoms: str, doubles: Iterable[int] = ()) -> Piece:
    size, doubles = len(atoms), set(doubles)
    bonds = tuple((i, (i + 1) % size, 2 if i in doubles else 1) for i in range(size))
    return Piece(atoms, bonds, ring=True, aromatic=bool(doubles))


def _chain(atoms: str, *orders: int) -> Piece:
    return Piece(atoms, tuple((i, i + 1, orders[i] if orders else 1) for i in range(len(atoms) - 1)))


RINGS: Sequence[tuple[Piece, float]] = (
    (_ring("CCCCCC", (0, 2, 4)), 6.0),  # benzene
    (_ring("CCNCCC", (0, 2, 4)), 2.0),  # pyridine
    (_ring("CNCNCC", (0, 2, 4)), 1.2),  # pyrimidine
    (_ring("CCOCC", (0, 3)), 0.8),  # furan
    (_ring("CCSCC", (0, 3)), 1.2),  # thiophene
    (_ring("CNCCN", (0, 2)), 0.8),  # pyrazole or imidazole, joined at a carbon
    (_ring("CSCCN", (2, 4)), 0.8),  # thiazole
    (_ring("CCCCCC"), 1.0),  # cyclohexane
    (_ring("CCCCC"), 0.7),  # cyclopentane
    (_ring("NCCCCC"), 1.2),  # piperidine
    (_ring("NCCOCC"), 0.9),  # morpholine
    (_ring("NCCNCC"), 0.9),  # piperazine
    (_ring("NCCCC"), 0.7),  # pyrrolidine
)
LINKERS: Sequence[tuple[Piece | None, float]] = (
    (None, 2.5),  # a bond between the rings
    (_chain("C"), 2.0),
    (_chain("CC"), 1.0),
    (_chain("O"), 1.2),
    (_chain("N"), 1.2),
    (_chain("S"), 0.7),
    (Piece("CON", ((0, 1, 2), (0, 2, 1))), 2.0),  # amide
    (Piece("NCO", ((0, 1, 1), (1, 2, 2))), 1.0),  # amide, the other way round
    (Piece("COO", ((0, 1, 2), (0, 2, 1))), 0.8),  # ester
    (Piece("CO", ((0, 1, 2),)), 0.8),  # ketone
    (_chain("CCN"), 0.8),
    (_chain("OCC"), 0.8),
)
SIDE_GROUPS: Sequence[tuple[Piece, float]] = (
    (_chain("C"), 3.0),
    (_chain("CC"), 0.8),
    (_chain("O"), 1.6),
    (_chain("N"), 1.2),
    (_chain("F"), 1.3),
    (_chain("L"), 1.2),
    (_chain("B"), 0.6),
    (_chain("OC"), 1.4),  # methoxy
    (_chain("NC"), 0.6),
    (Piece("COO", ((0, 1, 2), (0, 2, 1))), 1.0),  # carboxylic acid
    (Piece("CON", ((0, 1, 2), (0, 2, 1))), 0.6),  # primary amide
    (Piece("CCO", ((0, 1, 1), (0, 2, 2))), 0.5),  # acetyl
    (_chain("CN", 3), 0.8),  # nitrile
    (Piece("NOO", ((0, 1, 2), (0, 2, 1)), charges=((0, 1), (2, -1))), 0.6),  # nitro
    (Piece("CFFF", ((0, 1, 1), (0, 2, 1), (0, 3, 1))), 0.5),
    (_chain("CCO"), 0.7),
    (_chain("CCN"), 0.6),
)


class Molecule:
    """Atoms and bonds while they grow."""

    def __init__(self) -> None:
        self.elements: list[int] = []
        self.charges: list[int] = []
        self.free: list[int] = []
        self.in_ring: list[bool] = []
        self.aromatic: list[bool] = []
        self.bonds: list[tuple[int, int, int]] = []

    def add(self, piece: Piece, to: int | None) -> range:
        """Adds a piece, its first atom bound to the atom ``to``; returns the new atoms."""
        start = len(self.elements)
        charges = dict(piece.charges)
        for i, letter in enumerate(piece.atoms):
            element = _ELEMENTS[letter]
            self.elements.append(element)
            self.charges.append(NEUTRAL + charges.get(i, 0))
            self.free.append(VALENCE[element] + charges.get(i, 0))
            self.in_ring.append(piece.ring)
            self.aromatic.append(piece.aromatic)
        for a, b, order in piece.bonds:
            self._bind(start + a, start + b, order, AROMATIC if piece.aromatic else order - 1)
        if to is not None:
            self._bind(to, start, 1, SINGLE)
        return range(start, len(self.elements))

    def _bind(self, a: int, b: int, order: int, kind: int) -> None:
        self.free[a] -= order
        self.free[b] -= order
        self.bonds.append((a, b, kind))


def grow(rng: np.random.RandomState, scaffold: tuple[int, int, int], side_groups: float) -> Molecule | None:
    """A molecule on a scaffold (ring, linker, ring), or None where it has become too large.

    Args:
      scaffold: positions in RINGS, LINKERS and RINGS.
      side_groups: mean number of side groups.
    """
    first, linker, second = RINGS[scaffold[0]][0], LINKERS[scaffold[1]][0], RINGS[scaffold[2]][0]
    molecule = Molecule()
    place = _open(rng, molecule, molecule.add(first, None))
    if linker is not None:
        place = _last_open(molecule, molecule.add(linker, place))
    molecule.add(second, place)
    for _ in range(rng.poisson(side_groups)):
        place = _open(rng, molecule, range(len(molecule.elements)))
        if place is not None:
            molecule.add(SIDE_GROUPS[pick(rng, _SIDE_GROUP_CHANCES)][0], place)
    fits = len(molecule.elements) <= MAX_NODES and len(molecule.bonds) <= MAX_BONDS
    return molecule if fits and min(molecule.free) >= 0 else None


def chances(weights: Sequence[float]) -> np.ndarray:
    """Cumulative probabilities."""
    return np.cumsum(weights) / np.sum(weights)


def pick(rng: np.random.RandomState, cumulative: np.ndarray) -> int:
    return int(np.searchsorted(cumulative, rng.random_sample(), side="right"))


_SIDE_GROUP_CHANCES = chances([weight for _, weight in SIDE_GROUPS])


def _open(rng: np.random.RandomState, molecule: Molecule, atoms: range) -> int | None:
    """One of the atoms with a free valence, carbon four times as often as another; charged atoms are left alone."""
    found = [
        atom
        for atom in atoms
        if molecule.free[atom] > 0 and molecule.charges[atom] == NEUTRAL
        for _ in range(4 if molecule.elements[atom] == CARBON else 1)
    ]
    return found[rng.randint(len(found))] if found else None


def _last_open(molecule: Molecule, atoms: range) -> int:
    """Where a linker goes on: its last atom with a free valence."""
    return max(atom for atom in atoms if molecule.free[atom] > 0)


def node_features(molecules: Sequence[Molecule]) -> np.ndarray:
    """OGB's nine integers per atom, ``[molecules, MAX_NODES, 9]``, padded with -1: element, chirality, degree, formal
    charge, hydrogens, radical electrons, hybridisation, aromatic, in a ring."""
    features = np.full((len(molecules), MAX_NODES, 9), -1, np.int32)
    for row, m in zip(features, molecules, strict=True):
        degrees, kinds = [0] * len(m.elements), [SINGLE] * len(m.elements)
        for a, b, kind in m.bonds:
            for atom in (a, b):
                degrees[atom] += 1
                kinds[atom] = max(kinds[atom], kind)
        for i, element in enumerate(m.elements):
            hybridisation = (2, 1, 0, 1)[kinds[i]]  # sp3, sp2, sp, sp2
            row[i] = (element, 0, degrees[i], m.charges[i], m.free[i], 0, hybridisation, m.aromatic[i], m.in_ring[i])
    return features


def bond_features(molecules: Sequence[Molecule]) -> np.ndarray:
    """Both atoms and OGB's three integers per bond, ``[molecules, MAX_BONDS, 5]``, padded with -1: type, stereo,
    conjugated."""
    features = np.full((len(molecules), MAX_BONDS, 5), -1, np.int32)
    for row, m in zip(features, molecules, strict=True):
        unsaturated = {atom for a, b, kind in m.bonds if kind != SINGLE for atom in (a, b)}
        for i, (a, b, kind) in enumerate(m.bonds):
            row[i] = (a, b, kind, 0, a in unsaturated and b in unsaturated)
    return features
