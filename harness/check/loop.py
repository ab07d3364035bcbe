"""The training loop of a probe, and the trial that it makes believe."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from harness import __version__
from harness.clock import process_cpu_sec
from harness.entry import Entry
from harness.seeds import derive, key_words
from harness.spec import Framework, Workload
from harness.trial import TrainingLoop
from harness.tuning import RULESETS
from harness.workloads import workload_class, workload_names
from results.record import StopReason, TrialKey, TrialSpec

CHECKPOINT_AT, STEPS = 4, 8
SEED, OTHER_SEED = 0, 1
COMPILE_SHARE, LEAST_COMPILE_SEC = 0.5, 1.0
"""The first step may take this share of a trial's time before that is told; below so many seconds nobody asks."""

Point = Mapping[str, Any] | None


class Loop(TrainingLoop):
    """A trial's loop whose submission may have another seed than its model and data.

    Attributes:
      trained: parameters as update_params gave them back, before the latest evaluation; an entry may evaluate others,
        which need not have moved yet.
      first_step_sec: how long the first step took, which compiles; less where other work slowed the machine down.
    """

    submission_seed: int = SEED
    trained: Mapping[str, np.ndarray] = MappingProxyType({})
    first_step_sec: float = 0.0

    def step(self) -> tuple[StopReason, str] | None:
        if self.steps:
            return super().step()
        wall, cpu = time.monotonic(), process_cpu_sec()
        stop = super().step()
        self.backend.synchronize(self.params, self.model_state, self.optimizer_state)
        self.first_step_sec = min(time.monotonic() - wall, process_cpu_sec() - cpu)
        return stop

    def prepare_for_eval(self) -> None:
        self.trained = self.workload.export_parameters(self.params)
        super().prepare_for_eval()

    def random_key(self, stream: str) -> Any:
        if stream == "model":
            return super().random_key(stream)
        return self.backend.random_key(key_words(derive(seed=self.submission_seed, stream=stream), self.steps))


@functools.cache
def smallest_budget(ruleset: str) -> tuple[str, float]:
    """The workload with the least time at mini scale, and its seconds."""
    seconds = {name: workload_class(name).settings["mini"].max_runtime_sec for name in workload_names()}
    name = min(seconds, key=lambda each: seconds[each])
    return name, seconds[name] * RULESETS[ruleset].budget_factor


def spec_of(entry: Entry, framework: Framework, workload: Workload, point: Point) -> TrialSpec:
    settings = workload.base_settings
    return TrialSpec(
        key=TrialKey(entry.name, workload.name, framework, 1, 1),
        base_workload=workload.name,
        variant=workload.variant,
        scale="mini",
        workload_version=workload.version,
        ruleset="self_tuning" if point is None else "external",
        track="open",
        hyperparameters=point,
        seed=SEED,
        entry_digest=entry.digest,
        metric=workload.metric.name,
        direction=workload.metric.direction,
        validation_target=None,
        test_target=None,
        budget_sec=3600.0,
        max_steps=STEPS,
        step_hint=workload.step_hint,
        eval_period_sec=settings.eval_period_sec,
        eval_period_steps=CHECKPOINT_AT,
        threads=1,
        versions={"timetrial": __version__},
    )
