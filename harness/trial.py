"""One trial from start to finish: the training loop, framework-neutral, in the process that :mod:`harness.worker` made.

The protocol is AlgoPerf's: which function is called when, with which arguments, and what is on the clock. What happens
is told to the parent process as messages; the parent writes the record.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness import calls
from harness.accelerators import refuse_unused_gpu
from harness.claim import CLAIM_FILE, ClaimError, Packed, garbage_kept, save_claim, values_of, workload_of
from harness.clock import Clock, ClockState
from harness.compat.backends import backend_for, dropout_arguments
from harness.confinement import Confinement, close_in
from harness.data import InputQueue
from harness.entry import InvalidSubmissionError, load_functions
from harness.failure import TOLD_CHARACTERS
from harness.frameworks import TrialBackend
from harness.judge import Evaluates, judge_of, named
from harness.limit import TrialLimit
from harness.machine import peak_memory_bytes
from harness.messages import Send
from harness.resume import Checkpoints
from harness.saving import model_in
from harness.seeds import derive, key_stream, key_words
from harness.spec import TrainingCompleteError, Workload
from harness.task import Outcome, TrialTask, batch_size_of, refuse_batches_beyond_memory
from harness.tuning import as_namedtuple
from results.record import CPU, STEPS, WALL, Crossing, StopReason

SYNC_INTERVAL_SEC = 0.1
"""Between evaluations the device is waited for about this often, so that the budget is checked against true time."""

SYNC_SPREAD = 0.5, 1.5
"""By this much, at random: what an entry changes is looked for then as well."""

LOOKING_SHARE, LOOKING_SEC, EVALUATING_SEC = 0.05, 0.05, 0.01
"""Of the CPU time on the clock, in seconds more, and in seconds per evaluation: so much may looking after an entry take
off the clock. The looks take half of that; what goes beyond, whoever's it is, is charged as steps."""

PATIENCE = 2
"""Evaluations in a row that must be NaN or infinite before a trial counts as diverged."""

UNCONFINED = Confinement()


def run_trial(task: TrialTask, send: Send, judge: Evaluates | None = None) -> Outcome:
    """Runs one trial; ``send(kind, payload)`` gets ``progress`` and ``evaluation`` messages.

    Args:
      task: the trial.
      send: see there.
      judge: evaluates its parameters; None for one in this process.

    Raises:
      InvalidSubmissionError: a submission function is missing or returns something else than the contract says.
      Exception: whatever the submission raises.
    """
    clock = Clock()
    backend = backend_for(task.spec.key.framework, task.entry.conventions)
    backend.set_threads(task.spec.threads)
    workload = workload_of(task, backend)
    splits = {"train": workload.examples("train")}  # unreadable from here on
    send("progress", progress("ask", 0, clock, None))
    confinement = close_in(
        task,
        splits,
        lambda breach: send("breach", {"text": breach.text}),
        lambda functions: batch_size_of(functions, workload),
    )
    send("progress", progress("import", 0, clock, None))
    # What an entry's module computes when it is imported is its own work; a composition's modules are the harness's.
    with clock.segment("initialise" if task.entry.kind == "module" else "setup"):
        defaults, ready = task.spec.hyperparameters is None, confinement.remember
        functions = load_functions(task.entry, task.spec.key.framework, defaults, ready)
    # Asking starts the framework's devices: no fork survives that, and an entry's own settings of it come first.
    refuse_unused_gpu(task.spec.key.framework, backend.device_name)
    judge = judge or judge_of(task)[0]
    loop = TrainingLoop(task, send, clock, backend, workload, functions, splits, confinement, judge)
    backend.seed_everything(derive(seed=task.spec.seed, stream="global"))  # some imports draw
    return loop.run()


def progress(phase: str, step: int, clock: Clock, metric: float | None) -> dict[str, Any]:
    """What a message of that kind tells: the phase that begins, and the last evaluation's metric."""
    spent = {"submission_time": clock.submission_time(), "elapsed": clock.elapsed()}
    return {"phase": phase, "step": step, **spent, "metric": metric}


class TrainingLoop:
    """A trial's state between steps; :func:`run_trial` is what drives it."""

    params: Any
    model_state: Any
    optimizer_state: Any
    model: Any

    def __init__(
        self,
        task: TrialTask,
        send: Send,
        clock: Clock,
        backend: TrialBackend,
        workload: Workload,
        functions: Any,
        splits: Mapping[str, Mapping[str, np.ndarray]] | None = None,
        confinement: Confinement = UNCONFINED,
        judge: Evaluates | None = None,
    ) -> None:
        self.spec, self.task, self.send = task.spec, task, send
        self.clock, self.backend, self.workload, self.functions = clock, backend, workload, functions
        self.hyperparameters = as_namedtuple(task.spec.hyperparameters)
        self.confinement, self.watch = confinement, confinement.watch
        self.shown = confinement.shown(workload)
        self.batch_size = confinement.batch_size or batch_size_of(functions, workload)
        self.types = workload.model_params_types
        self.takes_train_state = False
        self.splits = dict(splits or {"train": workload.examples("train")})
        refuse_batches_beyond_memory(self.batch_size, self.splits["train"])
        order = derive(seed=self.spec.seed, stream="data")
        self.queue = InputQueue(
            self.splits["train"],
            self.batch_size,
            order,
            lambda batch: backend.to_framework(workload.collate(batch)),
            workload.augment if workload.augments else None,
            workload.base_settings.shuffle_run,
        )
        self.input_queue = iter(self.queue)
        self.keys = self.new_keys()
        self.eval_results: list[tuple[int, dict[str, float]]] = []
        self.rows: list[dict[str, float]] = []
        self.steps = 0
        self.bad_evaluations = 0
        self.synced_at, self.sync_every, self.last_sync_step = 0.0, 1, 0
        self.last_eval_step, self.last_eval_time = 0, 0.0
        self.crossing: Crossing | None = None
        self.right: np.ndarray | None = None
        self.judge = judge
        self.structure: Any = None
        self._chance = random.SystemRandom()
        self.values: Packed | None = None
        self.notes: list[str] = []
        self.flops_per_step: float | None = None
        self.checkpoints = Checkpoints(task.checkpoint)
        self.limit = TrialLimit(task.checkpoint)

    # ---- the loop ----

    def run(self) -> Outcome:
        """Initialises, goes on from a checkpoint where there is one, and advances until there is a reason to stop.

        Raises:
          StartOverError: the trial needs a new process.
        """
        assert self.judge is not None
        with self.clock.segment("calibrate"):
            self.judge.measure()
        self.initialise()
        if self.task.count_flops:
            self._progress("calibrate")
            with self.clock.segment("calibrate"):
                self.flops_per_step = self.judge.count(self.batch_size)
            self._progress("train")
        self.checkpoints.resume(self)
        stop = None
        while stop is None:
            stop = self.advance()
        stop = self._disqualified() or stop  # what was replaced since the last evaluation may disturb what follows
        self._progress("calibrate")
        with self.clock.segment("calibrate"):
            self.judge.measure()
        self.clock.mark(self.steps)
        return Outcome(
            stop_reason=stop[0],
            stop_detail=stop[1],
            steps=self.steps,
            batch_size=self.batch_size,
            crossing=self.crossing,
            segments=self.clock.segments(),
            wall_sec=self.clock.elapsed(),
            peak_memory_bytes=peak_memory_bytes(),
            preemptions=self.checkpoints.interruptions,
            notes=tuple(self.notes),
            timeline=self.clock.marks,
            flops_per_step=self.flops_per_step,
            right=self.right,
            isolation=self.confinement.isolation,
            device=self.backend.device_name,
        )

    def initialise(self) -> None:
        """Parameters, the submission's initializer and its optimizer state."""
        dropout = dropout_arguments(self.task.entry.conventions, self.hyperparameters)
        self.params, self.model_state = self.workload.init_model_fn(self.random_key("model"), **dropout)
        if self.watch:
            self.watch.begin(self)
        self._progress("initialise")
        with self.clock.segment("initialise"):
            self.takes_train_state = calls.takes_train_state(self.functions.update_params)
            calls.initialize(self)
            self.synchronize()
        self.clock.switch("step")  # what is collected from here on is the entry's
        self.model = model_in(self.params)
        self.clock.mark(0)
        self._progress("train")

    def advance(self) -> tuple[StopReason, str] | None:
        """One step, and the evaluation or budget check that is due after it; returns why to stop, or None."""
        complete = self.step()
        due = complete is not None or self._evaluation_due()
        if not due and not self._budget_check_due():
            return None
        self.synchronize()
        with garbage_kept():
            return self._between_steps(complete, due)

    def _between_steps(self, complete: tuple[StopReason, str] | None, due: bool) -> tuple[StopReason, str] | None:
        """The clock stands, but for what is the entry's: none of its objects is touched or collected meanwhile."""
        self.clock.switch("log")
        stop = self._exhausted() or (self._evaluate(final=complete is not None) if due else self._looked()) or complete
        if stop is None:
            if due:
                self._progress("checkpoint")
                self.checkpoints.save_if_due(self)
            self._progress("train")
            self._charge_looking()
            self.clock.switch("step")  # what is collected from here on is the entry's
        return stop

    def _charge_looking(self) -> None:
        if self.watch:
            share = LOOKING_SHARE * self.clock.submission_cpu_time()
            self.clock.charge_looking_beyond(share + LOOKING_SEC + EVALUATING_SEC * len(self.rows))

    def resumed(self, clock: ClockState, free_sec: float, beyond_sec: float) -> None:
        """Goes on with another process's clock and evaluations; of what this one had on the clock so much is free, and
        of what it had not, so much is not."""
        self.clock.resume(clock, free_sec)
        self.clock.charge(beyond_sec, "restore")
        self.synced_at = self.clock.submission_time()
        self.send("resumed", {"evaluations": self.rows, "segments": clock.segments, "timed_cpu": clock.timed_cpu})
        self._progress("train")

    def _exhausted(self) -> tuple[StopReason, str] | None:
        used = self.clock.submission_time()
        if used < self.spec.budget_sec:
            return None if self.crossing is not None else self.limit.passed(used, self.steps)
        return StopReason.BUDGET_EXHAUSTED, f"{used:.1f} s used of {self.spec.budget_sec:.1f} s at step {self.steps}"

    def step(self) -> tuple[StopReason, str] | None:
        """One update; returns why training is complete, or None while it goes on. Leaves the clock in the step's
        segment: the caller waits for the device before it leaves that."""
        data_key, update_key = map(self.backend.random_key, next(self.keys))
        self.clock.switch("data_selection")
        batch = calls.select_batch(self, data_key)
        self.clock.switch("step" if self.steps else "compile")
        try:
            calls.update(self, batch, update_key)
        except TrainingCompleteError as error:
            said = str(error)[:TOLD_CHARACTERS]
            return StopReason.TRAINING_COMPLETE, said or f"the submission ended training at step {self.steps}"
        self.steps += 1
        if self.spec.max_steps is not None and self.steps >= self.spec.max_steps:
            return StopReason.STEP_LIMIT, f"{self.steps} steps made, the limit"
        return None

    # ---- evaluation ----

    def _evaluation_due(self) -> bool:
        grid = self.spec.eval_period_steps
        if grid is not None:
            return self.steps % grid == 0
        return (
            self._budget_check_due() and self.clock.submission_time() - self.last_eval_time >= self.spec.eval_period_sec
        )

    def _evaluate(self, final: bool) -> tuple[StopReason, str] | None:
        """Evaluates once per step at most, but for the training split at the end, where a submission may say that it is
        done right after an evaluation; returns why to stop, or None."""
        measures_training = final and self.task.train_at_end
        if self.last_eval_step == self.steps and self.rows and not measures_training:
            return None
        self.prepare_for_eval()
        stop = self._exhausted() or self._disqualified()
        if stop:
            return stop
        row = self._measure("validation")
        if self.watch and self.watch.breached:
            return StopReason.DISQUALIFIED, ""
        value = row[f"validation/{self.spec.metric}"]
        reached = self._reached(value)
        wanted = (reached and self.spec.stop_at_target) or final or self.task.test_every_evaluation
        if wanted and self.workload.num_test_examples:
            row |= self._measure("test", row)
        if final and self.task.train_at_end:
            row |= self._measure("eval_train", row)
        self._record(row)
        if reached and self.spec.stop_at_target:
            return StopReason.TARGET_REACHED, f"{self.spec.metric} {value:.6g} at step {self.steps}"
        odd = [f"{k} is {x}" for k, x in sorted(row.items()) if k.startswith("validation/") and not math.isfinite(x)]
        self.bad_evaluations = self.bad_evaluations + 1 if odd else 0
        if self.bad_evaluations >= PATIENCE:
            return StopReason.DIVERGED, f"{odd[0]} for {PATIENCE} evaluations in a row, last at step {self.steps}"
        return None

    def _disqualified(self) -> tuple[StopReason, str] | None:
        """Where the entry does what it must not do: nothing is gained by going on. The parent has the evidence."""
        if self.watch is None:
            return None
        self.watch.inspect(self, self.structure)
        return (StopReason.DISQUALIFIED, "") if self.watch.breached else None

    def _looked(self) -> tuple[StopReason, str] | None:
        """Between evaluations, at moments that nobody can foresee: what is replaced may be put back before the next."""
        if self.watch is None:
            return None
        self.watch.look()
        return (StopReason.DISQUALIFIED, "") if self.watch.breached else None

    def prepare_for_eval(self) -> None:
        """Takes the values that are evaluated, on the clock: off it nothing of the submission's own is touched.

        Raises:
          InvalidSubmissionError: the model lacks the workload's parameters.
        """
        with self.clock.segment("prepare_for_eval"):
            calls.prepare(self)
            self.synchronize()
            if self.watch:
                self.structure = self.backend.structure(self.params)  # calls what the entry gave back
            try:
                self.values = values_of(self.workload, self.backend, self.params, self.model_state).packed()
            except ClaimError as error:
                self._disqualified()
                raise InvalidSubmissionError(str(error)) from error

    def _measure(self, split: str, base: Mapping[str, float] | None = None) -> dict[str, float]:
        """Metrics of a split, with the clocks' state in front when there is no ``base`` row."""
        self._progress("evaluate")
        row: dict[str, float] = {}
        if base is None:
            self._charge_looking()
            row = {STEPS: self.steps, WALL: self.clock.submission_time(), CPU: self.clock.submission_cpu_time()}
            row["examples"] = self.queue.examples
        with self.clock.segment("evaluate"):
            assert self.judge is not None and self.values is not None
            judged = self.judge.evaluate(self.values, split)
        if split == "test":
            self.right = judged.right
        return row | named(judged)

    def _record(self, row: dict[str, float]) -> None:
        segments = self.clock.segments()
        row |= {
            "accumulated_eval_time": segments["evaluate"],
            "accumulated_logging_time": segments["log"],
            "total_duration": self.clock.elapsed(),
            "score": row[WALL],
            "preemption_count": self.checkpoints.interruptions,
        }
        row = {name: value if type(value) is int else float(value) for name, value in row.items()}
        self.rows.append(row)
        self.last_eval_step, self.last_eval_time = self.steps, row[WALL]
        seen = {name: value for name, value in row.items() if not name.startswith("test/")}
        self.eval_results.append((self.steps, seen))
        self.send("evaluation", row)
        self.clock.mark(self.steps)
        self._progress("train")

    def _reached(self, value: float) -> bool:
        target = self.spec.validation_target
        if target is None or not self.workload.metric.reached(value, target):
            return False
        if self.crossing is not None:
            return True
        before = self.rows[-1] if self.rows else {}
        self.crossing = Crossing(
            wall=self.clock.submission_time(),
            cpu=self.clock.submission_cpu_time(),
            steps=self.steps,
            previous_wall=before.get(WALL, 0.0),
            previous_cpu=before.get(CPU, 0.0),
            previous_steps=int(before.get(STEPS, 0)),
        )
        self._keep_claim()
        return True

    def _keep_claim(self) -> None:
        """Keeps what was evaluated for verification; where it cannot be written here, the command does it."""
        if self.task.claim is None or self.values is None:
            return
        try:
            save_claim(self.task.claim / CLAIM_FILE, self.values)
        except OSError as error:
            self.note(f"the command has kept the target's parameters: {error.strerror or error} here")
            self.send("unkept", vars(self.values))

    # ---- helpers ----

    def new_keys(self) -> Iterator[np.ndarray]:
        """The keys of the steps, from the first on."""
        return key_stream(derive(seed=self.spec.seed, stream="steps"), per_step=2)

    def note(self, text: str) -> None:
        """Something that the record should tell, once."""
        if text not in self.notes:
            self.notes.append(text)

    def random_key(self, stream: str) -> Any:
        return self.backend.random_key(key_words(derive(seed=self.spec.seed, stream=stream), self.steps))

    def synchronize(self) -> None:
        self.backend.synchronize(self.params, self.model_state, getattr(self, "optimizer_state", None))
        steps = self.steps - self.last_sync_step
        now = self.clock.submission_time()
        if steps > 0:
            per_step = max((now - self.synced_at) / steps, 1e-6)
            interval = SYNC_INTERVAL_SEC * self._chance.uniform(*SYNC_SPREAD)
            self.sync_every = max(1, min(1000, int(interval / per_step)))
        self.synced_at, self.last_sync_step = now, self.steps

    def _budget_check_due(self) -> bool:
        return self.steps - self.last_sync_step >= self.sync_every

    def _progress(self, phase: str) -> None:
        metric = self.rows[-1].get(f"validation/{self.spec.metric}") if self.rows else None
        self.send("progress", progress(phase, self.steps, self.clock, metric))
