"""What is recorded of one trial.

A trial's folder holds ``eval_measurements.csv`` (one row per evaluation, AlgoPerf's column names and three of ours),
``hparams.json`` (the hyperparameters alone, as AlgoPerf writes them) and ``trial.json``: a :class:`TrialRecord`.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, Literal

SCHEMA_VERSION = 3
OLDEST_SCHEMA, FIRST_WITH_CHECKSUMS = 1, 2
"""Records from the oldest schema on are read."""


RENAMED_SEGMENTS: Mapping[str, str] = {"first_step": "compile"}
"""Names of segments in records of the first schema, and what they are called now."""

TIMED = ("initialise", "compile", "data_selection", "step", "prepare_for_eval")
"""Segments on the clock: their sum is the submission time. ``compile`` is the first update alone, in which compilation
happens."""


class NewerSchemaError(ValueError):
    """The record was written by a newer version of timetrial."""


WALL, CPU, STEPS = "accumulated_submission_time", "accumulated_submission_cpu_time", "global_step"
EXAMPLES = "examples"
CLOCKS: Mapping[str, str] = {"wall": WALL, "cpu": CPU, "steps": STEPS}
"""The clocks on which a score can be taken, and the evaluation column that holds each (seconds, seconds, steps)."""

EVALUATION_COLUMNS = (
    STEPS,
    WALL,
    CPU,
    "accumulated_eval_time",
    "accumulated_logging_time",
    "total_duration",
    "score",
    "preemption_count",
    EXAMPLES,
)
"""Columns of every evaluation; ``validation/<metric>``, ``test/<metric>`` and other splits' metrics come after them.
``score`` repeats the submission time, as in AlgoPerf's logs; ``examples`` counts examples drawn from the queue."""


class StopReason(enum.StrEnum):
    """Why a trial ended. The first six are orderly ends; the others are failures, which score as a miss."""

    TARGET_REACHED = "target_reached"
    BUDGET_EXHAUSTED = "budget_exhausted"
    STEP_LIMIT = "step_limit"
    TRAINING_COMPLETE = "training_complete"
    DIVERGED = "diverged"
    RACED = "raced"
    CRASHED = "crashed"
    INVALID_SUBMISSION = "invalid_submission"
    DISQUALIFIED = "disqualified"
    OUT_OF_MEMORY = "out_of_memory"
    HUNG = "hung"
    KILLED = "killed"

    @property
    def failed(self) -> bool:
        return self in FAILURES


FAILURES = frozenset(
    {
        StopReason.CRASHED,
        StopReason.INVALID_SUBMISSION,
        StopReason.DISQUALIFIED,
        StopReason.OUT_OF_MEMORY,
        StopReason.HUNG,
        StopReason.KILLED,
    }
)


@dataclasses.dataclass(frozen=True)
class TrialKey:
    """Where a trial lies in the plan; also the names of its folders.

    ``submission`` names the competitor (entries that exist in both frameworks carry the framework in their name),
    ``workload`` is the full name (``criteo1tb_layernorm``), ``study`` and ``trial`` count from 1. ``fold`` is the label
    of a part of a resampling plan (``5x2cv/r1f2``), empty on the benchmark's own split; a fold is a results folder.
    """

    submission: str
    workload: str
    framework: Literal["torch", "jax"]
    study: int
    trial: int
    fold: str = ""

    @property
    def folder(self) -> str:
        suffix = FRAMEWORK_SUFFIX[self.framework]
        above = f"{self.fold}/" if self.fold else ""
        return f"{above}{self.submission}/study_{self.study}/{self.workload}_{suffix}/trial_{self.trial}"


FRAMEWORK_SUFFIX: Mapping[str, str] = {"torch": "pytorch", "jax": "jax"}
"""AlgoPerf's names for the frameworks in folder names."""


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """Everything that decides a trial's outcome; its digest is the trial's identity.

    Attributes:
      key: names of the trial.
      base_workload, variant, scale, workload_version: what is trained.
      ruleset: ``external`` or ``self_tuning``.
      track: what a submission may change (``algoperf``, ``initializers``, ``finetuning``, ``open``).
      hyperparameters: the trial's point; None where the entry brings its own values.
      seed: seed of the study and trial, shared by all submissions.
      entry_digest: digest of the submission's source.
      metric, direction, validation_target, test_target: the target; None where there is none (runs that set one).
      budget_sec: submission time allowed, in seconds.
      max_steps: limit on steps, or None.
      step_hint, eval_period_sec, eval_period_steps, threads: as the trial ran.
      versions: of timetrial, python and the framework.
      stop_at_target: whether the trial ends at the target, or goes on to the limit on steps or the budget.
      split_seed: seed of the resampling plan's splits; None on the benchmark's own split.
    """

    key: TrialKey
    base_workload: str
    variant: str
    scale: Literal["mini", "full"]
    workload_version: int
    ruleset: str
    track: str
    hyperparameters: Mapping[str, Any] | None
    seed: int
    entry_digest: str
    metric: str
    direction: str
    validation_target: float | None
    test_target: float | None
    budget_sec: float
    max_steps: int | None
    step_hint: int
    eval_period_sec: float
    eval_period_steps: int | None
    threads: int
    versions: Mapping[str, str]
    stop_at_target: bool = True
    split_seed: int | None = None


@dataclasses.dataclass(frozen=True)
class Crossing:
    """The first evaluation that met the target, and the one before it (0 where there is none): the time to target
    lies between the two. Seconds, CPU seconds and steps."""

    wall: float
    cpu: float
    steps: int
    previous_wall: float = 0.0
    previous_cpu: float = 0.0
    previous_steps: int = 0


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    Attributes:
      spec: what was run.
      digest: of ``spec``; see :func:`harness.plan.digest`.
      stop_reason, stop_detail: why it ended; the detail is one line for people.
      traceback: end of the traceback when it crashed, else empty.
      steps: update steps made.
      crossing: when the target was met, or None.
      batch_size: training batch used.
      segments: seconds by segment of :mod:`harness.clock`; they add up to ``wall_sec``.
      wall_sec: from the first segment's start to the last one's end.
      peak_memory_bytes: peak resident memory of the process.
      machine: facts about the machine.
      started_at: UTC, ISO 8601; of the process that ended it.
      preemptions: how often it was interrupted before, and went on or started over.
      notes: what else should be known, a line each.
      timeline: the step and the seconds by segment until then, at the first step, at each evaluation and at the end.
      watched: seconds that the last process of the trial took, by its own clock (``child_sec``) and by that of the
        process that started it (``parent_sec``), from its first message to its last; and CPU seconds from the entry's
        import to the last evaluation, as the system counts them (``cpu_sec``), and of them on its own clock
        (``timed_cpu_sec``). Empty where it died.
      speed: of the machine before and after the last process of the trial; see :mod:`harness.speed`.
      flops_per_step: of a forward and backward pass (:mod:`harness.flops`); None where they were not counted.
      breaches: what the entry did that it must not do; a trial with any is disqualified.
      verified: the metric that the parameters which met the target reach in a process without the entry (``value``),
        and seconds that this took (``wall_sec``); empty where no target was met.
      isolation: what the process could not reach, and what kept it from that.
      disturbed: why the machine was not the same all the time or not the trial's alone; empty where it was.
    """

    spec: TrialSpec
    digest: str
    stop_reason: StopReason
    stop_detail: str
    steps: int
    crossing: Crossing | None
    batch_size: int
    segments: Mapping[str, float]
    wall_sec: float
    peak_memory_bytes: int
    machine: Mapping[str, Any]
    started_at: str
    traceback: str = ""
    preemptions: int = 0
    notes: tuple[str, ...] = ()
    timeline: tuple[Mapping[str, float], ...] = ()
    watched: Mapping[str, float] = dataclasses.field(default_factory=dict)
    speed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    disturbed: str = ""
    flops_per_step: float | None = None
    breaches: tuple[str, ...] = ()
    verified: Mapping[str, float] = dataclasses.field(default_factory=dict)
    isolation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def submission_sec(self) -> float:
        """Submission time used in all; NaN where the trial's process died without telling."""
        if not self.segments.keys() & set(TIMED):
            return math.nan
        return sum(self.segments.get(name, 0.0) for name in TIMED)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialRecord:
        """Inverse of :meth:`to_json`.

        Raises:
          NewerSchemaError: the schema is of a later version.
          ValueError: a field is missing or unknown; the message names it.
        """
        version = data.get("schema_version") if isinstance(data, Mapping) else None
        if not isinstance(version, int) or version < OLDEST_SCHEMA:
            raise ValueError(f"schema_version is {version!r}; expected a number from {OLDEST_SCHEMA} on")
        if version > SCHEMA_VERSION:
            raise NewerSchemaError(f"schema_version is {version}; this timetrial reads up to {SCHEMA_VERSION}")
        fields = dict(data)
        try:
            spec = dict(fields.pop("spec"))
            key = TrialKey(**spec.pop("key"))
            crossing = fields.pop("crossing")
            reason = StopReason(fields.pop("stop_reason"))
            return cls(
                spec=TrialSpec(key=key, **spec),
                crossing=Crossing(**crossing) if crossing else None,
                stop_reason=reason,
                breaches=tuple(fields.pop("breaches", ())),
                notes=tuple(fields.pop("notes", ())),
                timeline=tuple(fields.pop("timeline", ())),
                segments={RENAMED_SEGMENTS.get(name, name): sec for name, sec in fields.pop("segments").items()},
                **fields,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"trial.json lacks or does not know a field: {error}") from None


def finite_or_none(value: float | None) -> float | None:
    """JSON has no NaN or infinity; both become null."""
    return value if value is not None and math.isfinite(value) else None
