"""Entries in the styles of AlgoPerf's, and short runs of them in this process."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.compat import environment
from harness.plan import plan_trials
from harness.suite import Request
from harness.trial import Outcome, run_trial
from harness.tuning import RulesetName

ENTRIES = Path(__file__).with_name("entries")


@dataclasses.dataclass(frozen=True)
class Run:
    """What a short trial gave: losses on the validation split at each evaluation."""

    outcome: Outcome
    losses: list[float]
    examples: list[int]


@pytest.fixture(autouse=True)
def nothing_stays_in_place() -> Iterator[None]:
    yield
    environment.close()


@pytest.fixture(scope="session")
def train() -> Callable[..., Run]:
    """Trains an entry's folder or file for a few steps, with an evaluation after every ``every``."""

    def train(
        path: Path,
        steps: int = 6,
        every: int = 3,
        ruleset: RulesetName = "self_tuning",
        workload: str = "mnist",
        search_space: Path | None = None,
    ) -> Run:
        request = Request(
            (workload,),
            ((str(path), None),),
            ruleset,
            1,
            1,
            budget_sec=1e9,
            max_steps=steps,
            search_space=search_space,
            stop_at_target=False,
        )
        (planned,) = plan_trials(request)
        spec = dataclasses.replace(planned.task.spec, eval_period_steps=every)
        rows: list[Any] = []
        outcome = run_trial(
            dataclasses.replace(planned.task, spec=spec),
            lambda kind, payload: rows.append(payload) if kind == "evaluation" else None,
        )
        return Run(outcome, [row["validation/loss"] for row in rows], [int(row["examples"]) for row in rows])

    return train


@pytest.fixture
def copy_entry(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a styled entry, with text replaced in its submission.py."""

    def copy(name: str, replace: dict[str, str] | None = None, into: str = "") -> Path:
        folder = tmp_path / (into or name)
        shutil.copytree(ENTRIES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "submission.py"
        source = path.read_text()
        for old, new in (replace or {}).items():
            assert old in source
            source = source.replace(old, new)
        path.write_text(source)
        return folder

    return copy


@pytest.fixture(scope="session")
def entries() -> Path:
    return ENTRIES
