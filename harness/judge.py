"""Who judges a trial: its parameters and statistics as numbers are evaluated in a process that has never held anything
of the entry's. Meanwhile the command keeps the trial's own process stopped, so that nothing can be done off the clock.

The trial's process asks the command (:class:`DistantJudge`), which hands the question on to the judge's process
(:func:`serve`) and the answer back, and knows by that what every evaluation has found.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.claim import CLAIM_FILE, ClaimError, Packed, read_claim, workload_of
from harness.data import Arrays, evaluation_batches, noting_right
from harness.failure import describe_failure
from harness.flops import flops_per_step
from harness.frameworks import TrialBackend, load
from harness.messages import Send, answers
from harness.seeds import key_words
from harness.spec import Workload
from harness.speed import Speed, measure
from harness.task import TrialTask

Starts = Callable[[], tuple[BaseProcess, Connection]]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What values are worth on a split: metrics by name, and which examples are classified rightly ``[n]``, where the
    workload knows that and the split is the test split."""

    split: str
    found: Mapping[str, float]
    right: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Verified:
    """What the parameters reach that a trial has kept as those which met its target.

    Attributes:
      value: of the workload's metric on the validation split.
      wall_sec: of the whole verification.
    """

    value: float
    wall_sec: float


def named(judged: Judged) -> dict[str, float]:
    """The metrics as an evaluation's row has them."""
    return {f"{judged.split}/{name}": value for name, value in judged.found.items()}


class Evaluates(Protocol):
    """Who evaluates, measures how fast the machine is, and counts the operations of a step."""

    def evaluate(self, packed: Packed, split: str) -> Judged: ...

    def measure(self) -> object: ...

    def count(self, batch_size: int) -> float: ...


class Judge:
    """Evaluates values in a model of its own: hooks, classes and compiled functions of a submission have no part in it.

    Args:
      workload: bound to ``backend``, the framework's plain one.
    """

    def __init__(self, workload: Workload, backend: TrialBackend) -> None:
        self._workload, self._backend = workload, backend
        self._params, self._state = workload.init_model_fn(backend.random_key(key_words(0, 0)))
        self._splits: dict[str, Arrays] = {}

    def evaluate(self, packed: Packed, split: str) -> Judged:
        """Metrics of a split's examples, in order."""
        workload, backend, values = self._workload, self._backend, packed.unpacked()
        if split not in self._splits:
            self._splits[split] = workload.examples(split)
        self._params = backend.import_parameters(workload, self._params, values.parameters)
        if values.statistics:
            self._state = backend.import_statistics(workload, self._params, self._state, values.statistics)
        stored = evaluation_batches(self._splits[split], workload.eval_batch_size)
        evaluated = backend.evaluated(workload, self._params, self._state, map(workload.collate, stored))
        right: list[np.ndarray] = []
        found = workload.evaluate(noting_right(workload, evaluated, right) if split == "test" else evaluated)
        return Judged(split, found, np.concatenate(right) if right else None)

    def measure(self) -> Speed:
        return measure(self._backend)

    def count(self, batch_size: int) -> float:
        """Floating-point operations of a step (:mod:`harness.flops`)."""
        return flops_per_step(self._workload, self._backend, batch_size)


class DistantJudge:
    """In a trial's process: asks the command, and waits for its answer."""

    def __init__(self, send: Send, connection: Connection) -> None:
        self._send, self._receive = send, answers(connection)

    def evaluate(self, packed: Packed, split: str) -> Judged:
        found, right = self._ask("judge", split=split, parameters=packed.parameters, statistics=packed.statistics)
        return Judged(split, found, right)

    def measure(self) -> object:
        return self._ask("measure")

    def count(self, batch_size: int) -> float:
        return float(self._ask("count", batch_size=batch_size))

    def _ask(self, question: str, **given: Any) -> Any:
        self._send(question, given)
        return self._receive()


# ---- the judge's own process ----


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """What are values of a trial's worth on a split?"""

    task: TrialTask
    values: Packed
    split: str


@dataclasses.dataclass(frozen=True)
class Verify:
    """What are those worth that a trial has kept for its target?"""

    task: TrialTask


@dataclasses.dataclass(frozen=True)
class Measure:
    """How fast is the machine, for a trial's framework?"""

    task: TrialTask


@dataclasses.dataclass(frozen=True)
class Count:
    """How many operations has a step of a trial with a batch size?"""

    task: TrialTask
    batch_size: int


Question = Evaluate | Verify | Measure | Count


def judge_of(task: TrialTask) -> tuple[Judge, Workload]:
    backend = load(task.spec.key.framework)
    backend.set_threads(task.spec.threads)
    workload = workload_of(task, backend)
    return Judge(workload, backend), workload


def serve(connection: Connection) -> None:
    """Answers questions until nobody can ask any more, or one cannot be answered; then the last word says why."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # most of the GPU's memory is the trial's
    found: tuple[Any, tuple[Judge, Workload]] | None = None
    with contextlib.suppress(EOFError):
        while True:
            asked: Question = connection.recv()
            try:
                if found is None or found[0] != _subject(asked.task):
                    found = _subject(asked.task), judge_of(asked.task)
                connection.send(_answer(*found[1], asked))
            except BaseException as error:
                connection.send(describe_failure(error, asked.task))
                return


def _subject(task: TrialTask) -> Any:
    """What a judge is made from: trials that agree in it may have the same."""
    spec, key = task.spec, task.spec.key
    data = task.data_dir, key.fold, spec.split_seed
    return key.framework, key.workload, spec.workload_version, spec.scale, spec.step_hint, spec.threads, data


def _answer(judge: Judge, workload: Workload, asked: Question) -> Any:
    match asked:
        case Evaluate(_, values, split):
            return judge.evaluate(values, split)
        case Measure():
            return judge.measure()
        case Count(_, batch_size):
            return judge.count(batch_size)
        case Verify(task):
            assert task.claim is not None
            return verified(judge, workload, task.claim)


def verified(judge: Judge, workload: Workload, folder: Path) -> Verified | ClaimError:
    """What kept parameters reach, or why there is nothing to evaluate."""
    started = time.perf_counter()
    try:
        values = read_claim(folder / CLAIM_FILE, workload)
    except ClaimError as error:
        return error
    found = judge.evaluate(values.packed(), "validation").found
    return Verified(found[workload.metric.name], time.perf_counter() - started)


def _send(connection: Connection, question: Any) -> None:
    with contextlib.suppress(OSError):  # it died: the next look finds out
        connection.send(question)


class JudgeProcess:
    """The process that judges the trials of one slot, as the command sees it; started when it is first asked."""

    def __init__(self, start: Starts) -> None:
        self._start = start
        self._started: tuple[BaseProcess, Connection] | None = None
        self._asking: threading.Thread | None = None
        self.is_asked = False
        """Whether it owes an answer."""

    @property
    def awaited(self) -> list[Any]:
        """What becomes ready when there is something to take."""
        if self._started is None:
            return []
        process, connection = self._started
        return [connection, process.sentinel]

    def ask(self, question: Question) -> None:
        self._started = self._started or self._start()
        self.is_asked = True
        # A process that is still starting does not read yet, and the command has other trials to look after.
        self._asking = threading.Thread(target=_send, args=(self._started[1], question), daemon=True)
        self._asking.start()

    def answer(self) -> Any:
        """
        Returns:
          What :func:`serve` has sent, an exception's description (a dict) among it; None where there is nothing yet.

        Raises:
          EOFError: it died.
        """
        if self._started is None or not self.is_asked:
            return None
        connection = self._started[1]
        try:
            if not connection.poll():
                return None
            answer = connection.recv()
        except OSError:
            raise EOFError from None
        self.is_asked = False
        return answer

    def kill(self) -> None:
        """It may be asked again, and is another process then."""
        if self._started is not None:
            process, connection = self._started
            process.kill()
            process.join()
            if self._asking is not None:
                self._asking.join()
            connection.close()
        self._started, self.is_asked = None, False
