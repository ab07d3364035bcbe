"""Benchmark versions as data: which workloads count, their targets, budgets, and how many studies and trials.

``scoring/benchmarks/*.yaml`` holds AlgoPerf's versions; any other version is a file of the same form.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from results.evaluations import Goal
from results.reader import Table
from scoring.errors import ScoringError
from scoring.profile import Layout

FOLDER = Path(__file__).parent / "benchmarks"
RULESETS = ("external", "self_tuning")
BASE_VARIANT = "base"


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What a set of results is scored against.

    Attributes:
      version: name of the version, ``own`` where it comes from the runs' own records.
      ruleset: ``external`` or ``self_tuning``.
      layout: base workloads and held-out variants.
      goals: by workload, also of known workloads that carry no credit; budgets are the ruleset's.
      studies, trials: expected number of studies, and of trials per study.
    """

    version: str
    ruleset: str
    layout: Layout
    goals: Mapping[str, Goal]
    studies: int
    trials: int

    def goal_of(self, workload: str) -> Goal | None:
        """The goal of a scored workload, None for one that is known but not scored.

        Raises:
          ScoringError: the workload is unknown; names the nearest.
        """
        if workload not in self.goals:
            nearest = difflib.get_close_matches(workload, self.goals, 3, 0.4)
            hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
            raise ScoringError(f"benchmark {self.version} has no workload {workload!r}{hint}")
        return self.goals[workload] if workload in self.layout.workloads else None


def names() -> list[str]:
    """Versions that come with timetrial."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str | Path, ruleset: str) -> Benchmark:
    """A benchmark version by name or by its file.

    Raises:
      ScoringError: no such version, or the file is malformed (says which key).
    """
    path = Path(name) if str(name).endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ScoringError(f"no benchmark {str(name)!r}; there is: {', '.join(names())}, or give a YAML file")
    if ruleset not in RULESETS:
        raise ScoringError(f"no ruleset {ruleset!r}; there is: {', '.join(RULESETS)}")
    return _parse(path, ruleset)


def _parse(path: Path, ruleset: str) -> Benchmark:
    import pydantic
    import yaml

    class WorkloadEntry(pydantic.BaseModel, extra="forbid", strict=True):
        metric: str
        direction: Literal["minimize", "maximize"]
        target: float
        budget_sec: float | None = pydantic.Field(default=None, gt=0)
        base: str | None = None

    class RulesetEntry(pydantic.BaseModel, extra="forbid", strict=True):
        studies: int = pydantic.Field(ge=1)
        trials: int = pydantic.Field(ge=1)
        budget_factor: float = pydantic.Field(default=1.0, gt=0)

    class File(pydantic.BaseModel, extra="forbid", strict=True):
        version: str
        rulesets: dict[str, RulesetEntry]
        base_workloads: list[str] = pydantic.Field(min_length=1)
        held_out_workloads: list[str] = []
        workloads: dict[str, WorkloadEntry]

    try:
        file = File.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ScoringError(f"cannot read {path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ScoringError(f"{path}:{line}: not YAML ({error.problem}); mend that line") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ScoringError(f"{path}: {where}: {problem}; see scoring/benchmarks for the form") from None

    if ruleset not in file.rulesets:
        raise ScoringError(f"{path}: rulesets: has no {ruleset!r}; it has: {', '.join(file.rulesets)}")
    rules = file.rulesets[ruleset]
    for name in (*file.base_workloads, *file.held_out_workloads):
        if name not in file.workloads:
            raise ScoringError(f"{path}: workloads: {name!r} is scored but not described; add it")
    base_of = []
    for name in file.held_out_workloads:
        base = file.workloads[name].base
        if base not in file.base_workloads:
            raise ScoringError(f"{path}: workloads.{name}.base: {base!r} is no base workload; name one")
        base_of.append(file.base_workloads.index(base))

    def budget(name: str) -> float | None:
        entry = file.workloads[name]
        inherited = entry.budget_sec or (file.workloads[entry.base].budget_sec if entry.base else None)
        return inherited * rules.budget_factor if inherited else None

    goals = {
        name: Goal(entry.metric, entry.direction, entry.target, budget(name)) for name, entry in file.workloads.items()
    }
    layout = Layout(tuple(file.base_workloads), tuple(file.held_out_workloads), tuple(base_of))
    return Benchmark(file.version, ruleset, layout, goals, rules.studies, rules.trials)


def of_own_runs(table: Table) -> Benchmark:
    """The benchmark that timetrial's own runs carry in their records.

    A variant whose base workload was run too is held out: it must be reached for the base workload to count. Other
    variants are scored as workloads of their own. The expected numbers of studies and trials are the largest seen.
    """
    run = {facts.base_workload for facts in table.own.values() if facts.variant == BASE_VARIANT}
    held_out = tuple(
        name for name, facts in table.own.items() if facts.variant != BASE_VARIANT and facts.base_workload in run
    )
    base = tuple(name for name in table.own if name not in held_out)
    base_of = tuple(base.index(table.own[name].base_workload) for name in held_out)
    studies = len({trial.study for trial in table.trials})
    per_study: dict[tuple[str, str, int], int] = {}
    for trial in table.trials:
        key = (trial.submission, trial.workload, trial.study)
        per_study[key] = per_study.get(key, 0) + 1
    return Benchmark(
        "own",
        table.shared.get("ruleset", "external"),
        Layout(base, held_out, base_of),
        table.goals,
        studies,
        max(per_study.values()),
    )
