"""Search spaces, quasi-random sampling, and the two rulesets.

A search space has one of AlgoPerf's two forms, in JSON or YAML: a list of points, all with the same keys, or a mapping
from each hyperparameter to ``{min, max, scaling: linear | log}`` or ``{feasible_points: [...]}``.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.config import Document, KeyPath
from harness.errors import suggestion
from harness.seeds import derive

RulesetName = Literal["external", "self_tuning"]


@dataclasses.dataclass(frozen=True)
class Ruleset:
    """How many trials and studies a submission gets, and which share of the workload's budget each trial has."""

    name: RulesetName
    trials: int
    studies: int
    budget_factor: float


RULESETS: Mapping[str, Ruleset] = {
    "external": Ruleset("external", trials=5, studies=3, budget_factor=1.0),
    "self_tuning": Ruleset("self_tuning", trials=1, studies=3, budget_factor=1.5),
}


@dataclasses.dataclass(frozen=True)
class Range:
    """A hyperparameter drawn between ``low`` and ``high``, uniformly or uniformly in its logarithm."""

    low: float
    high: float
    log: bool

    def at(self, u: float) -> float:
        if self.log:
            return self.low * math.exp(u * math.log(self.high / self.low))
        return self.low + u * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A hyperparameter drawn from a list of values."""

    points: tuple[Any, ...]

    def at(self, u: float) -> Any:
        return self.points[min(int(u * len(self.points)), len(self.points) - 1)]


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """Either listed ``points``, taken in order, or ``dimensions`` to sample from."""

    dimensions: Mapping[str, Range | Choice]
    points: tuple[Mapping[str, Any], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.points[0]) if self.points else tuple(self.dimensions)


def parse_search_space(document: Document, key: KeyPath = ()) -> SearchSpace:
    """The search space at ``key`` of a document.

    Raises:
      ConfigError: names the hyperparameter and what is wrong with its range.
    """
    data = document.data
    for part in key:
        data = data[part]
    if isinstance(data, list):
        return _parse_points(document, key, data)
    if not isinstance(data, Mapping) or not data:
        raise document.error(key, "a search space is a non-empty list of points or mapping of ranges")
    return SearchSpace({str(name): _parse_dimension(document, (*key, name), data[name]) for name in data})


def _parse_points(document: Document, key: KeyPath, points: Sequence[Any]) -> SearchSpace:
    if not points:
        raise document.error(key, "the list of points is empty")
    for index, point in enumerate(points):
        if not isinstance(point, Mapping) or not point:
            raise document.error((*key, index), "a point is a mapping from hyperparameters to values")
        if set(point) != set(points[0]):
            odd = ", ".join(sorted(set(map(str, point)) ^ set(map(str, points[0]))))
            raise document.error((*key, index), f"every point needs the same keys as the first; they differ in {odd}")
    return SearchSpace({}, tuple(dict(point) for point in points))


_RANGE_KEYS = ("min", "max", "scaling", "feasible_points")


def _parse_dimension(document: Document, key: KeyPath, value: Any) -> Range | Choice:
    if not isinstance(value, Mapping):
        raise document.error(key, f"expected {{min, max, scaling}} or {{feasible_points}}, found {value!r}")
    for name in value:
        if name not in _RANGE_KEYS:
            raise document.error((*key, name), f"unknown key; {suggestion(str(name), _RANGE_KEYS)}")
    if "feasible_points" in value:
        points = value["feasible_points"]
        if not isinstance(points, list) or not points:
            raise document.error((*key, "feasible_points"), "expected a non-empty list")
        return Choice(tuple(points))
    low, high = (_number(document, key, value, name) for name in ("min", "max"))
    scaling = value.get("scaling", "linear")
    if scaling not in ("linear", "log"):
        raise document.error((*key, "scaling"), f"expected 'linear' or 'log', found {scaling!r}")
    if low > high:
        raise document.error(key, f"min ({low:g}) is greater than max ({high:g}); exchange them")
    if scaling == "log" and low <= 0:
        raise document.error(key, f"a log scale needs min > 0, found {low:g}; raise min or use scaling: linear")
    return Range(low, high, scaling == "log")


def _number(document: Document, key: KeyPath, value: Mapping[str, Any], name: str) -> float:
    if name not in value:
        raise document.error((*key, name), "is missing; a range has min and max, a list of values feasible_points")
    number = value[name]
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise document.error((*key, name), f"expected a finite number, found {number!r}")
    return float(number)


def sample(space: SearchSpace, count: int, seed: int) -> list[dict[str, Any]]:
    """``count`` points: the first listed ones in order (all, where fewer are listed), or a scrambled Halton sequence
    (Owen 2017, arXiv 1706.02808)."""
    if space.points:
        return [dict(point) for point in space.points[:count]]
    from scipy.stats import qmc

    sampler = qmc.Halton(len(space.dimensions), scramble=True, rng=derive(search_space_seed=seed))
    return [
        {name: dimension.at(float(u)) for (name, dimension), u in zip(space.dimensions.items(), row, strict=True)}
        for row in sampler.random(count)
    ]


def as_namedtuple(point: Mapping[str, Any] | None) -> Any:
    """The form in which submissions receive hyperparameters: attributes and ``_asdict``; None under self-tuning."""
    if point is None:
        return None
    return collections.namedtuple("Hyperparameters", point.keys())(**point)
