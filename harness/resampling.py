"""Resampling plans: how a workload hands out its training pool (Raschka 2018, arXiv 1811.12808, section 3).

The pool is the benchmark's training split. A fold trains on one part of it and is validated on the part held out; the
test split stays as it is. Splits are stratified where the workload has classes, and whole groups (images of one glyph)
stay on one side. They depend on the seed, the workload and the plan only, so that all submissions share them.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import UsageError
from harness.seeds import derive

if TYPE_CHECKING:
    from harness.spec import Workload

HOLD_OUT_SHARE = 1 / 3
"""Share held out by repeated holdout."""
OUT_OF_BAG_SHARE = 0.368
"""Expected share (1/e) of the pool that a bootstrap sample misses."""
VALIDATED_AT_MOST = 5
"""A fold validates on at most this many times the benchmark's validation examples, so that evaluations stay cheap."""

Indices = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Fold:
    """One training and validation part of a plan; its label is part of a trial's identity and of its folder.

    Attributes:
      plan: the plan's name.
      replication: which repetition of the split, from 1.
      part: which part is held out, from 1.
      inner: which inner part of the training part is held out, from 1; 0 for the outer fold itself.
      inner_parts: number of inner parts; 1 for one inner holdout.
    """

    plan: str
    replication: int
    part: int
    inner: int = 0
    inner_parts: int = 0

    @property
    def label(self) -> str:
        """For example ``5x2cv/r1f2`` or, for the first of three inner parts, ``5x2cv/r1f2-inner1of3``."""
        inner = f"-inner{self.inner}of{self.inner_parts}" if self.inner else ""
        return f"{self.plan}/r{self.replication}f{self.part}{inner}"

    def inside(self, parts: int) -> tuple[Fold, ...]:
        """Folds of this fold's training part: ``parts``-fold cross-validation, or one holdout for 1."""
        return tuple(dataclasses.replace(self, inner=i, inner_parts=parts) for i in range(1, parts + 1))


_LABEL = re.compile(
    r"(?P<plan>[^/]+)/r(?P<replication>\d+)f(?P<part>\d+)(?:-inner(?P<inner>\d+)of(?P<inner_parts>\d+))?"
)


def parse_fold(label: str) -> Fold:
    """Inverse of :attr:`Fold.label`.

    Raises:
      UsageError: it is no label of a fold.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        raise UsageError(f"{label!r} is not a fold; one looks like 5x2cv/r1f2")
    numbers = {name: int(text or 0) for name, text in match.groupdict().items() if name != "plan"}
    return Fold(match["plan"], **numbers)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A resampling plan.

    Attributes:
      name: as written on the command line.
      kind: key of the table of splitters.
      replications, parts: repetitions of the split, and parts per repetition; 0 parts means one per example or group.
      inner_parts: of nested cross-validation, else 0.
      held_out: share of the pool that a fold holds out.
    """

    name: str
    kind: str
    replications: int
    parts: int
    held_out: float
    inner_parts: int = 0

    @property
    def seeds_only(self) -> bool:
        """Whether nothing is resampled: the benchmark's own split, repeated with other seeds."""
        return self.kind == "holdout"

    @property
    def test_train_ratio(self) -> float:
        """Examples held out over examples trained on, for the corrected t (Nadeau & Bengio 2003)."""
        return self.held_out / (1 - self.held_out)

    def folds(self) -> tuple[Fold, ...]:
        """All outer folds, in order.

        Raises:
          UsageError: leave-one-out, whose number of folds is the data's: see :meth:`folds_of`.
        """
        if not self.parts:
            raise UsageError(f"the number of folds of {self.name} depends on the workload")
        return self._folds(self.parts)

    def folds_of(self, workload: Workload) -> tuple[Fold, ...]:
        """All outer folds on a workload's pool."""
        if self.parts:
            return self.folds()
        groups = workload.groups()
        return self._folds(workload.num_pool_examples if groups is None else len(np.unique(groups)))

    def _folds(self, parts: int) -> tuple[Fold, ...]:
        return tuple(Fold(self.name, r, f) for r in range(1, self.replications + 1) for f in range(1, parts + 1))


_ONE, _TWO = r"(?P<a>\d+)", r"(?P<a>\d+)x(?P<b>\d+)"
_PLANS: tuple[tuple[str, str, tuple[int, int], Callable[[str, int, int], Plan]], ...] = (
    ("holdout-N", _ONE, (1, 1), lambda name, n, _: Plan(name, "holdout", n, 1, 0.0)),
    ("repeated-holdout-N", _ONE, (1, 1), lambda name, n, _: Plan(name, "shuffle", n, 1, HOLD_OUT_SHARE)),
    ("kfold-K", _ONE, (2, 1), lambda name, k, _: Plan(name, "kfold", 1, k, 1 / k)),
    ("repeated-kfold-RxK", _TWO, (1, 2), lambda name, r, k: Plan(name, "kfold", r, k, 1 / k)),
    ("leave-one-out", "", (1, 1), lambda name, *_: Plan(name, "one", 1, 0, 0.0)),
    ("bootstrap-B", _ONE, (1, 1), lambda name, b, _: Plan(name, "bootstrap", b, 1, OUT_OF_BAG_SHARE)),
    ("5x2cv", "", (1, 1), lambda name, *_: Plan(name, "kfold", 5, 2, 1 / 2)),
    ("nested-OxI", _TWO, (2, 2), lambda name, o, i: Plan(name, "kfold", 1, o, 1 / o, i)),
)
"""Form, its numbers, the least that each may be, and the plan."""
PLAN_FORMS = tuple(form for form, *_ in _PLANS)


def parse_plan(name: str) -> Plan:
    """A plan by its name, such as ``5x2cv``, ``kfold-10`` or ``nested-5x3``.

    Raises:
      UsageError: there is no such plan, or its numbers make no sense.
    """
    for form, numbers, least, make in _PLANS:
        stem = form.rpartition("-")[0] + "-" if numbers else form
        match = re.fullmatch(re.escape(stem) + numbers, name)
        if match is None:
            continue
        found = match.groupdict()
        a, b = int(found.get("a") or 1), int(found.get("b") or 1)
        if a < least[0] or b < least[1]:
            raise UsageError(f"resampling plan {name!r}: the least {form} is {_least(stem, numbers, least)}")
        return make(name, a, b)
    raise UsageError(f"no resampling plan {name!r}; there is: {', '.join(PLAN_FORMS)}")


def _least(stem: str, numbers: str, least: tuple[int, int]) -> str:
    return f"{stem}{least[0]}x{least[1]}" if numbers == _TWO else f"{stem}{least[0]}"


@dataclasses.dataclass(frozen=True)
class Resampling:
    """A fold with the seed of its splits: what a workload needs to hand out that part of its pool."""

    fold: Fold
    seed: int

    @functools.cached_property
    def plan(self) -> Plan:
        return parse_plan(self.fold.plan)

    @property
    def train_fraction(self) -> float:
        """Expected share of the pool that is trained on."""
        share = 1 - self.plan.held_out
        inner = self.fold.inner_parts
        if not self.fold.inner:
            return share
        return share * (1 - (HOLD_OUT_SHARE if inner == 1 else 1 / inner))

    @property
    def as_option(self) -> str:
        """What ``timetrial targets`` must be told to set targets for this size."""
        inner = f" --inner {self.fold.inner_parts}" if self.fold.inner and not self.plan.inner_parts else ""
        return f"--plan {self.plan.name}{inner}"

    def indices(self, workload: Workload) -> Indices:
        """Indices into the pool: trained on (with repeats under the bootstrap), and validated on, in order.

        Raises:
          UsageError: the data cannot be split like this (fewer groups or examples of a class than parts).
        """
        pool = _Pool(workload.num_pool_examples, workload.strata(), workload.groups())
        kind, fold = self.plan.kind, self.fold
        seed = derive(seed=self.seed, workload=workload.name, plan=fold.plan, replication=fold.replication)
        train, held_out = _split(pool, kind, self.plan.parts, fold.part, seed)
        if fold.inner:
            inner_kind = "shuffle" if fold.inner_parts == 1 else "kfold"
            inner = _split(
                pool.at(train), inner_kind, fold.inner_parts, fold.inner, derive(seed=seed, inner=fold.inner_parts)
            )
            train, held_out = train[inner[0]], train[inner[1]]
        if pool.strata is not None and len(np.unique(pool.strata)) > 1 and np.ptp(pool.strata[train]) == 0:
            raise UsageError(
                f"{fold.label} of {workload.name} would train on one class only; use a plan of fewer parts"
            )
        most = VALIDATED_AT_MOST * workload.base_settings.splits["validation"]
        if len(held_out) > most:
            held_out = np.sort(np.random.RandomState(seed).permutation(held_out)[:most])
        return train, held_out


def resampling_of(label: str, seed: int | None) -> Resampling | None:
    """What a trial's record says of its resampling; None on the benchmark's own split."""
    return Resampling(parse_fold(label), seed or 0) if label else None


@dataclasses.dataclass(frozen=True)
class _Pool:
    """Number of examples, and the class and the group of each where the workload has them."""

    size: int
    strata: np.ndarray | None
    groups: np.ndarray | None

    def at(self, index: np.ndarray) -> _Pool:
        def taken(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[index]

        return _Pool(len(index), taken(self.strata), taken(self.groups))


def _split(pool: _Pool, kind: str, parts: int, part: int, seed: int) -> Indices:
    if kind == "bootstrap":
        return _bootstrap(pool, seed)
    splitter = _SPLITTERS[kind](pool, parts, seed)
    strata = np.zeros(pool.size) if pool.strata is None else pool.strata
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a class with fewer members than parts is only warned about
            for number, (train, held_out) in enumerate(splitter.split(np.zeros(pool.size), strata, pool.groups), 1):
                if number == part or kind == "shuffle":
                    return train, held_out
    except (ValueError, UserWarning) as error:
        raise UsageError(f"the training pool cannot be split by {kind} into {parts} parts: {error}") from None
    raise UsageError(f"part {part} of {parts} parts does not exist")


def _k_fold(pool: _Pool, parts: int, seed: int) -> Any:
    from sklearn import model_selection as ms

    options: Mapping[str, Any] = {"n_splits": parts, "shuffle": True, "random_state": seed}
    if pool.groups is not None:
        return ms.StratifiedGroupKFold(**options) if pool.strata is not None else ms.GroupKFold(**options)
    return ms.StratifiedKFold(**options) if pool.strata is not None else ms.KFold(**options)


def _shuffle(pool: _Pool, parts: int, seed: int) -> Any:
    from sklearn import model_selection as ms

    options: Mapping[str, Any] = {"n_splits": 1, "test_size": HOLD_OUT_SHARE, "random_state": seed}
    if pool.groups is not None:  # the first of three parts is a third, by groups and by classes
        return _k_fold(pool, round(1 / HOLD_OUT_SHARE), seed)
    return ms.StratifiedShuffleSplit(**options) if pool.strata is not None else ms.ShuffleSplit(**options)


def _leave_one_out(pool: _Pool, parts: int, seed: int) -> Any:
    from sklearn import model_selection as ms

    return ms.LeaveOneOut() if pool.groups is None else ms.LeaveOneGroupOut()


_SPLITTERS: Mapping[str, Callable[[_Pool, int, int], Any]] = {
    "kfold": _k_fold,
    "shuffle": _shuffle,
    "one": _leave_one_out,
}


def _bootstrap(pool: _Pool, seed: int) -> Indices:
    """As many draws with replacement as there are examples, or groups whose examples come along; and the others."""
    random = np.random.RandomState(seed)
    if pool.groups is None:
        train = np.sort(random.randint(pool.size, size=pool.size))
    else:
        members = {group: np.flatnonzero(pool.groups == group) for group in np.unique(pool.groups)}
        names = list(members)
        train = np.sort(np.concatenate([members[names[i]] for i in random.randint(len(names), size=len(names))]))
    return train, np.setdiff1d(np.arange(pool.size), train)
