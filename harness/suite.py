"""Suites: what to run, as a YAML file, and the request that a suite or a command line becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import pydantic

from harness.config import Document, load_document, validate
from harness.entry import entry_names, find_entry
from harness.errors import UsageError, suggestion, unknown
from harness.resampling import Fold
from harness.seeds import derive
from harness.spec import BASE, TRACKS, Framework, Scale
from harness.tuning import RULESETS, RulesetName
from harness.workloads import distinct, make_workload, split_name, workload_class, workload_names

ALL = "all"


@dataclasses.dataclass(frozen=True)
class Request:
    """One ruleset's part of what a user asked to run.

    Attributes:
      workloads: full names.
      submissions: references (name or path), each with a framework, or None for all that the entry has.
      ruleset, studies, trials: trials count per study.
      track, scale, seed, threads: of every trial.
      budget_sec: replaces the workloads' budgets; None keeps them.
      max_steps: limit on steps; None for none.
      data_dir: where data lies or is cached; None for the default.
      search_space: replaces the entries' search spaces.
      folds: parts of a resampling plan, each run instead of a study; empty for the benchmark's own split.
      split_seed: seed of the plan's splits; None for the seed.
      stop_at_target: whether trials end at the target.
      target_required: whether a workload without a target is an error.
    """

    workloads: tuple[str, ...]
    submissions: tuple[tuple[str, Framework | None], ...]
    ruleset: RulesetName
    studies: int
    trials: int
    track: str = "algoperf"
    scale: Scale = "mini"
    seed: int = 0
    threads: int = 1
    budget_sec: float | None = None
    max_steps: int | None = None
    data_dir: Path | None = None
    search_space: Path | None = None
    folds: tuple[Fold, ...] = ()
    split_seed: int | None = None
    stop_at_target: bool = True
    target_required: bool = True


Count = Annotated[int, pydantic.Field(strict=True, ge=1)]
Seed = Annotated[int, pydantic.Field(strict=True, ge=0)]
Item = TypeVar("Item")
AllOr = Annotated[
    Annotated[Literal["all"], pydantic.Tag("all")] | Annotated[list[Item], pydantic.Tag("list")],
    pydantic.Discriminator(lambda value: "all" if isinstance(value, str) else "list"),
]
"""``all``, or a list; what is wrong is told of the one that was meant."""


class _SubmissionItem(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    framework: Framework | None = None


class _HeldOut(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    seed: Seed


class _Workloads(pydantic.BaseModel):
    """``base``: full names, or ``all`` bases. ``held_out``: as in AlgoPerf 0.5, also one variant of each of these bases
    (of every workload where no ``base`` is given), drawn by the seed; without ``base``, the drawn variants alone."""

    model_config = pydantic.ConfigDict(extra="forbid")
    base: AllOr[str] = []
    held_out: _HeldOut | None = None

    @pydantic.model_validator(mode="after")
    def _names_some(self) -> _Workloads:
        if not self.base and self.held_out is None:
            raise ValueError("names none; give `all`, a list of names, or held_out with a seed")
        return self


class Suite(pydantic.BaseModel):
    """A suite file's content; ``all`` stands for every workload (base variants) or every ready entry. ``workloads`` may
    also be given as ``all`` or a list, which is its ``base``."""

    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    summary: str = ""
    scale: Scale = "mini"
    rulesets: list[RulesetName] = pydantic.Field(min_length=1)
    track: Literal["algoperf", "initializers", "finetuning", "open"] = "algoperf"
    studies: Count = 3
    trials: Count = 5
    seed: Seed = 0
    workloads: _Workloads
    submissions: AllOr[_SubmissionItem]

    @pydantic.field_validator("workloads", mode="before")
    @classmethod
    def _base_alone(cls, value: Any) -> Any:
        return {"base": value} if isinstance(value, str | list) else value

    @pydantic.field_validator("submissions", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        return (
            [{"name": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value
        )


def suites_folder() -> Path:
    return Path(__file__).parent / "suites"


def suite_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in suites_folder().glob("*.yaml")))


def load_suite(reference: str) -> Suite:
    """A suite by name (``quick``) or path.

    Raises:
      UsageError: there is no such suite, or it is malformed (file, line and key are named).
    """
    path = suites_folder() / f"{reference}.yaml" if reference in suite_names() else Path(reference)
    if path.is_dir():
        raise UsageError(f"{reference} is a folder; give a suite's file in it, or one of: {', '.join(suite_names())}")
    if not path.is_file():
        if path.suffix or "/" in reference:
            raise UsageError(
                f"there is no file {reference}; give a path that exists, or one of: {', '.join(suite_names())}"
            )
        raise unknown("suite", reference, suite_names())
    document = load_document(path)
    suite = validate(document, Suite)
    _check_names(document, suite)
    return suite


def _check_names(document: Document, suite: Suite) -> None:
    within = ("base",) if isinstance(document.data["workloads"], dict) else ()
    named: dict[tuple[str | int, ...], list[str]] = {
        ("workloads", *within): _listed(suite.workloads.base),
        ("submissions",): [item.name for item in _listed(suite.submissions)],
    }
    for key, names in named.items():
        for index, name in enumerate(names):
            try:
                make_workload(name, suite.scale) if key[0] == "workloads" else find_entry(name)
            except UsageError as error:
                raise document.error((*key, index), str(error)) from None


def _listed(names: Any) -> list[Any]:
    return names if isinstance(names, list) else []


def workloads_of(suite: Suite) -> tuple[str, ...]:
    """Full names of a suite's workloads, the drawn variants behind the bases."""
    chosen = suite.workloads
    base = list(workload_names()) if chosen.base == ALL else _listed(chosen.base)
    if chosen.held_out is None:
        return distinct(base)
    of = [name for name in base or workload_names() if split_name(name)[1] == BASE]
    drawn = (_held_out(name, chosen.held_out.seed) for name in of if workload_class(name).variants)
    return distinct([*base, *drawn])


def _held_out(name: str, seed: int) -> str:
    """One variant; the draw of one workload does not depend on which others there are."""
    variants = sorted(workload_class(name).variants)
    return f"{name}_{variants[derive(seed=seed, held_out=name) % len(variants)]}"


def requests_of(suite: Suite) -> list[Request]:
    """One request per ruleset of a suite. Under ``all``, entries that cannot run under a ruleset are left out."""
    return [
        Request(
            workloads=workloads_of(suite),
            submissions=tuple(_submissions(suite, ruleset)),
            ruleset=ruleset,
            studies=suite.studies,
            trials=RULESETS[ruleset].trials if ruleset == "self_tuning" else suite.trials,
            track=suite.track,
            scale=suite.scale,
            seed=suite.seed,
        )
        for ruleset in dict.fromkeys(suite.rulesets)
    ]


def _submissions(suite: Suite, ruleset: RulesetName) -> Iterable[tuple[str, Framework | None]]:
    if isinstance(suite.submissions, list):
        for item in suite.submissions:
            yield item.name, item.framework
        return
    for name in entry_names():
        entry = find_entry(name)
        if ruleset in entry.rulesets and (entry.track in ("algoperf", suite.track) or suite.track == "open"):
            yield name, None


def check_ruleset(name: str) -> RulesetName:
    """``self-tuning`` and ``self_tuning`` both name the second ruleset.

    Raises:
      UsageError: there is no such ruleset.
    """
    found = name.replace("-", "_")
    for known in get_args(RulesetName):
        if found == known:
            return known
    raise UsageError(f"unknown ruleset {name!r}; {suggestion(found, RULESETS)}")


def check_track(name: str) -> str:
    if name not in TRACKS:
        raise unknown("track", name, TRACKS)
    return name
