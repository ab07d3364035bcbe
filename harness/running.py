"""A trial in flight as its parent sees it: what its process tells, and the record that becomes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from harness.claim import CLAIM_FILE, ClaimError, Packed, save_claim
from harness.failure import TRACEBACK_LINES
from harness.judge import Count, Evaluate, Judged, JudgeProcess, Measure, Question, Verified, named
from harness.machine import machine_facts
from harness.messages import ForgedMessageError, Receiver
from harness.speed import Moment, Speed, compared, waits_of
from harness.task import TrialTask
from harness.verdict import Accounts, Verification, verdict
from harness.worker import Slot
from results.record import Crossing, StopReason, TrialRecord

CLOCK_TOLERANCE, CLOCK_SLACK_SEC = 0.005, 2.0
"""By how much of the time, and by how many seconds more, a trial's clock may differ from its parent's, which reads its
own when it finds the time to take a message."""

_BEFORE_TRAINING = ("setup", "ask", "import", "initialise")
"""Phases in their order; each comes once."""
_MEASURED = (("import", 0), ("calibrate", 1))
"""In which phase a trial has the machine measured, and how often it has been by then."""

FORGED = "sends messages to the command in the harness's name"
NOT_SAVED = "goes on from a checkpoint that the harness has not written"
UNJUDGED = "tells of evaluations that nobody has made"


@dataclasses.dataclass
class RunningTrial:
    """A trial in flight, as the parent sees it. ``version`` is that of its checkpoint when its process was started,
    and ``deaths`` counts processes of it that were killed before they got further than that; one that is
    ``excused`` was killed on purpose. One that ``may_resume`` has a checkpoint, and has not said yet that it goes
    on from there. ``judged`` has the metrics that its judge found since the last evaluation was told, and ``saved``
    the digests of the checkpoints that it may go on from. ``asked`` has the splits that its judge was asked for
    since, and ``right`` which test examples it found classified rightly. ``told_before`` has the evaluations that
    an earlier process of the trial has told this command. ``moments`` has what was measured before the process
    trained, and after. ``server`` is the process that its own was forked by. ``first_sign`` is the time here and
    the trial's own when it gave its first sign of life. ``killed_for_memory`` is how many processes the system had
    ended for want of memory when its own was started."""

    task: TrialTask
    digest: str
    process: BaseProcess
    connection: Connection
    slot: Slot
    log: Path
    judge: JudgeProcess
    started_at: str
    started: float
    last_sign: float
    phase: str = "setup"
    step: int = 0
    submission_time: float = 0.0
    metric: float | None = None
    evaluations: list[dict[str, float]] = dataclasses.field(default_factory=list)
    finished: Mapping[str, Any] | None = None
    failed: Mapping[str, Any] | None = None
    killed_because: tuple[StopReason, str] | None = None
    version: int | None = None
    starts_over: bool = False
    deaths: int = 0
    excused: bool = False
    first_sign: tuple[float, float] | None = None
    watched: Mapping[str, float] = dataclasses.field(default_factory=dict)
    accounts: Accounts = dataclasses.field(default_factory=lambda: Accounts(None))
    breaches: list[str] = dataclasses.field(default_factory=list)
    verification: Verification | None = None
    verifies: bool = False
    receiver: Receiver = dataclasses.field(default_factory=Receiver)
    may_resume: bool = False
    judged: dict[str, float] = dataclasses.field(default_factory=dict)
    saved: set[str] = dataclasses.field(default_factory=set)
    server: int | None = None
    killed_for_memory: int = 0
    asked: set[str] = dataclasses.field(default_factory=set)
    right: np.ndarray | None = None
    told_before: list[dict[str, float]] | None = None
    moments: list[Moment] = dataclasses.field(default_factory=list)
    flops_per_step: float | None = None


def receive(trial: RunningTrial) -> None:
    """Takes the messages that are there, from the trial's process and its judge's."""
    _hear_judge(trial)
    with contextlib.suppress(EOFError, OSError):
        while trial.connection.poll():
            try:
                kind, payload = trial.receiver.receive(trial.connection)
            except ForgedMessageError:
                _report(trial, FORGED)
                continue
            if trial.finished is not None:
                continue  # the harness in the process has said its last word
            trial.last_sign = time.monotonic()
            if is_out_of_turn(trial, kind, payload):
                _report(trial, FORGED)
            if kind == "progress":
                trial.first_sign = trial.first_sign or (trial.last_sign, payload["elapsed"])
                trial.accounts.enter(payload["phase"])
                trial.phase, trial.step = payload["phase"], payload["step"]
                trial.submission_time, trial.metric = payload["submission_time"], payload["metric"]
            elif kind == "judge":
                trial.asked.add(payload["split"])
                packed = Packed(payload["parameters"], payload["statistics"])
                _ask(trial, Evaluate(trial.task, packed, payload["split"]))
            elif kind == "measure":
                _ask(trial, Measure(trial.task))
            elif kind == "count":
                _ask(trial, Count(trial.task, payload["batch_size"]))
            elif kind == "evaluation":
                if not _same(trial.judged, {name: value for name, value in payload.items() if "/" in name}):
                    _report(trial, UNJUDGED)
                trial.judged, trial.asked = {}, set()
                trial.evaluations.append(payload)
            elif kind == "resumed":
                if not trial.may_resume:
                    _report(trial, FORGED)
                    continue
                trial.may_resume = False
                trial.first_sign = None  # its clock goes on from another process's
                trial.evaluations = list(payload["evaluations"])
                if trial.told_before is not None and not _begin(trial.told_before, trial.evaluations):
                    _report(trial, UNJUDGED)
                trial.accounts.resumed(payload["segments"], payload["timed_cpu"])
            elif kind == "saved":
                trial.saved.add(payload["digest"])
                place = trial.task.checkpoint
                trial.accounts.saves(payload["bytes"], every=place is not None and not place.every_sec)
            elif kind == "start_over":
                trial.starts_over = True
            elif kind == "finished":
                trial.finished = payload
                trial.right = payload["right"] if trial.right is None else trial.right  # of an earlier process's
                here, there = trial.first_sign or (trial.last_sign, payload["wall_sec"])
                trial.watched = {
                    "parent_sec": trial.last_sign - here,
                    "child_sec": payload["wall_sec"] - there,
                    "cpu_sec": trial.accounts.cpu_until_judged,
                    "timed_cpu_sec": trial.accounts.claimed_cpu_sec(trial.evaluations),
                }
                trial.accounts.enter("ended")
            elif kind == "unkept":
                trial.verification = _kept_here(trial, payload)
            elif kind == "breach":
                trial.breaches.append(payload["text"])
            elif kind == "failed":
                trial.failed = payload


def is_out_of_turn(trial: RunningTrial, kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether the harness in the process would not send a message now. Its phases have an order, its last calibration
    ends it, it has every split judged once per evaluation, and the machine measured before it trains and after."""
    if kind == "progress" and _goes_back(trial, payload["phase"], payload["step"]):
        return True
    if kind == "judge":
        return trial.phase != "evaluate" or payload["split"] in trial.asked
    if kind == "measure":
        return (trial.phase, len(trial.moments)) not in _MEASURED
    if kind == "count":
        return trial.phase != "calibrate" or trial.step > 0 or trial.flops_per_step is not None
    if kind == "finished":
        return len(trial.moments) != len(_MEASURED)
    ending = trial.phase == "calibrate" and trial.step > 0
    return ending and kind not in ("failed", "breach", "unkept")


def _goes_back(trial: RunningTrial, phase: str, step: int) -> bool:
    """Steps count upwards, and what comes before training does not come again: it is charged otherwise."""
    now = _BEFORE_TRAINING.index(trial.phase) if trial.phase in _BEFORE_TRAINING else len(_BEFORE_TRAINING)
    return step < trial.step or (phase in _BEFORE_TRAINING and _BEFORE_TRAINING.index(phase) < now)


def _report(trial: RunningTrial, breach: str) -> None:
    if breach not in trial.breaches:
        trial.breaches.append(breach)


def _kept_here(trial: RunningTrial, payload: Mapping[str, Any]) -> Verification | None:
    """The claim is written here where the process could not: an entry may have used up what that takes."""
    assert trial.task.claim is not None
    try:
        save_claim(trial.task.claim / CLAIM_FILE, Packed(payload["parameters"], payload["statistics"]))
    except OSError as error:
        return Verification(failed=f"they could not be kept: {error.strerror or error}")
    return None


def _hear_judge(trial: RunningTrial) -> None:
    """Takes what its judge has found; without a judge the trial goes on from its checkpoint, where it has one."""
    try:
        answer = trial.judge.answer()
    except EOFError:
        trial.judge.kill()
        if trial.verifies:
            trial.verification = Verification(failed="the process that should verify it died")
        trial.process.kill()
        return
    if answer is None:
        return
    trial.last_sign = time.monotonic()
    if isinstance(answer, Judged):
        trial.judged |= named(answer)
        trial.right = trial.right if answer.right is None else answer.right
        _go_on(trial, (dict(answer.found), answer.right))
    elif isinstance(answer, Speed):
        trial.moments.append(Moment(answer, waits_of(trial.process.pid or 0, len(trial.slot.cores))))
        _go_on(trial, None)
    elif isinstance(answer, float):
        trial.flops_per_step = answer
        _go_on(trial, answer)
    elif isinstance(answer, Verified):
        trial.verification = Verification(found=dataclasses.asdict(answer))
    elif isinstance(answer, ClaimError):
        trial.verification = Verification(refused=str(answer))
    elif trial.verifies:
        trial.verification = Verification(failed=answer["stop_detail"])
    else:
        trial.failed = answer
        trial.process.kill()


def _ask(trial: RunningTrial, question: Question) -> None:
    """Has the trial's process stand still until its judge has answered."""
    _signal(trial, signal.SIGSTOP)
    if isinstance(question, Evaluate):
        trial.accounts.stop()
    else:
        trial.accounts.enter(trial.phase)
    trial.judge.ask(question)


def _go_on(trial: RunningTrial, answer: Any) -> None:
    """Tells the process what it waits for, in plain types: its entry could say how others are made."""
    trial.accounts.go_on()
    _signal(trial, signal.SIGCONT)
    with contextlib.suppress(OSError):  # it was killed meanwhile
        trial.connection.send(answer)


def _signal(trial: RunningTrial, number: signal.Signals) -> None:
    if trial.process.is_alive() and trial.process.pid:
        os.kill(trial.process.pid, number)


def _same(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return a.keys() == b.keys() and all(
        b[name] == value or (value != value and b[name] != b[name]) for name, value in a.items()
    )


def _begin(rows: Sequence[Mapping[str, float]], beginning: Sequence[Mapping[str, float]]) -> bool:
    return len(beginning) <= len(rows) and all(map(_same, rows, beginning))


def make_record(trial: RunningTrial) -> TrialRecord:
    """The record of a trial whose process has ended."""
    spec = trial.task.spec
    common: dict[str, Any] = {
        "spec": spec,
        "digest": trial.digest,
        "machine": machine_facts(),
        "started_at": trial.started_at,
    }
    if trial.finished is not None and trial.killed_because is None:
        outcome = dict(trial.finished)
        crossing, _ = outcome.pop("crossing"), outcome.pop("right")
        outcome["flops_per_step"] = trial.flops_per_step
        outcome["stop_reason"] = StopReason(outcome["stop_reason"])
        speed, disturbed = compared(*trial.moments) if len(trial.moments) == len(_MEASURED) else ({}, "")
        verification = trial.verification or Verification(failed="the process that should verify it died")
        breaches = verdict(
            spec,
            trial.breaches,
            trial.accounts,
            trial.evaluations,
            {**outcome, "crossing": crossing},
            verification if crossing else Verification(),
        )
        notes = [*outcome.pop("notes"), *_clock_notes(trial.watched)]
        common["machine"] = {**common["machine"], "device": outcome.pop("device")}
        if crossing and verification.failed:
            notes.append(f"the target's parameters could not be verified: {verification.failed}")
        if breaches:
            outcome |= _disqualified(breaches)
            crossing = None
        return TrialRecord(
            **common,
            **outcome,
            notes=tuple(notes),
            breaches=breaches,
            verified=verification.found,
            speed=speed,
            disturbed=disturbed,
            watched=trial.watched,
            crossing=Crossing(**crossing) if crossing else None,
        )
    failure = dict(trial.failed or _death(trial))
    if trial.breaches:
        failure |= _disqualified(trial.breaches)
    return TrialRecord(
        **common,
        breaches=tuple(trial.breaches),
        preemptions=trial.task.checkpoint.interruptions if trial.task.checkpoint else 0,
        stop_reason=StopReason(failure["stop_reason"]),
        stop_detail=failure["stop_detail"],
        traceback=failure["traceback"],
        steps=trial.step,
        crossing=None,
        batch_size=0,
        segments={"unknown": time.monotonic() - trial.started},
        wall_sec=time.monotonic() - trial.started,
        peak_memory_bytes=0,
    )


def _disqualified(breaches: Sequence[str]) -> dict[str, Any]:
    return {"stop_reason": StopReason.DISQUALIFIED, "stop_detail": f"the submission {'; '.join(breaches)}"}


def _clock_notes(watched: Mapping[str, float]) -> list[str]:
    parent, child = watched["parent_sec"], watched["child_sec"]
    if abs(parent - child) <= CLOCK_TOLERANCE * parent + CLOCK_SLACK_SEC:
        return []
    return [f"the trial's own clock went {child:.2f} s while {parent:.2f} s passed here: do not trust its times"]


def _death(trial: RunningTrial) -> dict[str, Any]:
    """Reason and log's end for a process that died without a word."""
    code = trial.process.exitcode or 0
    if trial.killed_because:
        reason, detail = trial.killed_because
    elif code < 0:
        reason = StopReason.KILLED
        times = f", {trial.deaths} times in a row" if trial.deaths > 1 else ""
        detail = f"killed by {signal.Signals(-code).name} in phase {trial.phase} after step {trial.step}{times}"
    else:
        reason = StopReason.CRASHED
        detail = f"the process ended with exit code {code} in phase {trial.phase} after step {trial.step}"
    lines = trial.log.read_text(errors="replace").splitlines() if trial.log.exists() else []
    return {"stop_reason": reason, "stop_detail": detail, "traceback": "\n".join(lines[-TRACEBACK_LINES:])}
