"""The part of the check that runs an entry: a few steps on every toy, twice with one seed, once with another, and once
through a checkpoint. Everything goes through the training loop of real trials."""

from __future__ import annotations

import contextlib
import dataclasses
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.check.findings import RULES, Finding
from harness.check.guard import Guard, WatchedQueue, structure
from harness.check.held import graph, lost
from harness.check.loop import (
    CHECKPOINT_AT,
    COMPILE_SHARE,
    LEAST_COMPILE_SEC,
    OTHER_SEED,
    SEED,
    STEPS,
    Loop,
    Point,
    smallest_budget,
    spec_of,
)
from harness.check.moments import FirstRun, Moment, difference, differing, gone_elsewhere
from harness.check.sizes import oversized, smaller
from harness.check.toys.workload import TOYS, Toy
from harness.clock import Clock
from harness.compat.backends import backend_for
from harness.entry import Entry, InvalidSubmissionError, load_functions
from harness.failure import advice
from harness.frameworks import TrialBackend, load
from harness.judge import Judge
from harness.messages import Send
from harness.saving import CannotSaveError, restore_training, save_training
from harness.seeds import derive, key_stream
from harness.spec import Framework
from harness.task import TrialTask
from harness.tuning import as_namedtuple, sample

FORGIVEN = 0.01
"""By which share of its length the way after a checkpoint may differ: ``load_state_dict`` of torch's optimizers rounds
state of low precision anew, which is no loss of state."""
GROWTH = 1.5
"""By so much a graph grows, at least, that keeps every step: it holds twice as many when the steps have doubled."""
_NO_PROCESSES = "daemonic processes are not allowed to have children"
"""How Python's multiprocessing refuses them in the check's process, as in a trial's."""
FIRST = "the first run"
RESUMED = "a run from a checkpoint"
_BEFORE_RESTORING = frozenset({"", "init_optimizer_state", "init_model_params", "get_batch_size"})
_SURVIVES_NOT = (
    "the same steps ran well without a restart: something in optimizer_state, or in a module's globals, does not "
    "survive saving and restoring"
)
POINTS = 3
"""Points of a search space that are tried before divergence counts as the entry's fault."""


class FailedError(Exception):
    """The entry failed on this toy, and a finding says how."""


@dataclasses.dataclass(frozen=True)
class ProbeTask:
    """What a probe's process needs: the entry, where, on which losses, and where its functions stand."""

    entry: Entry
    framework: Framework
    losses: tuple[str, ...]
    places: Mapping[str, tuple[Path, int]]


def probe(task: ProbeTask, send: Send) -> list[Finding]:
    """Findings of one entry in one framework; ``send`` is told what begins."""
    folder = task.entry.path.parent if task.entry.kind == "module" else None
    guard = Guard(task.framework, task.places, task.entry.path, folder)
    backend = backend_for(task.framework, task.entry.conventions)
    backend.set_threads(1)
    before = set(Path.cwd().iterdir())
    points = points_of(task.entry)
    for loss in task.losses:
        with contextlib.suppress(FailedError):
            Examination(task, loss, guard, backend, send).run(points)
    for path in set(Path.cwd().iterdir()) - before:
        guard.report("writes-files", f"writes {path.name} into the working directory", "update_params")
    return guard.findings


def points_of(entry: Entry) -> list[Point]:
    """Hyperparameters to try: none where the entry brings its own, and a few of the search space."""
    own: list[Point] = [None] if entry.self_tuning else []
    return own + (list(sample(entry.search_space, POINTS, SEED)) if entry.search_space else [])


class Examination:
    """One entry on one toy."""

    def __init__(self, task: ProbeTask, loss: str, guard: Guard, backend: TrialBackend, send: Send) -> None:
        self.task, self.loss, self.guard, self.backend, self.send = task, loss, guard, backend, send
        plain = load(task.framework)
        self.judge = Judge(TOYS[loss]().bind(plain), plain)

    def run(self, points: Sequence[Point]) -> None:
        first = self._first_run(points)
        point = first.point
        if not self._same_seed(first):
            return
        self._other_seed(first)
        if self.loss == self.task.losses[0]:
            for other in [other for other in points[:2] if other is not point]:
                self._advance(self._start("a run with the search space's hyperparameters", other), 2)

    def _first_run(self, points: Sequence[Point]) -> FirstRun:
        """With the first point that does not diverge."""
        losses: list[float] = []
        for point in points:
            loop = self._start(FIRST, point)
            initial = self._values(loop)
            middle = self._advance(loop, CHECKPOINT_AT)
            self._see_compile_time(loop)
            _, operations = graph(loop.optimizer_state)
            self._resume_point()
            late = self._advance(loop, STEPS - 1)
            if not difference(initial, late.trained):
                message = f"with {self._toy_name}: parameters are the same after {STEPS - 1} steps"
                self.guard.report("does-not-train", message, "update_params")
            end = self._advance(loop, STEPS)
            self._see_graph(loop, operations)
            losses = [row["validation/loss"] for row in loop.rows]
            if np.isfinite(losses).all() and all(np.isfinite(value).all() for value in end.evaluated.values()):
                return FirstRun(point, middle, late, end)
        message = f"with {self._toy_name}: the loss is {losses[-1]} after {STEPS} steps"
        self.guard.report("diverges", message, "update_params")
        raise FailedError

    # ---- the questions ----

    def _see_compile_time(self, loop: Loop) -> None:
        if loop.first_step_sec > LEAST_COMPILE_SEC:
            name, budget = smallest_budget("external" if self.task.entry.search_space else "self_tuning")
            share = loop.first_step_sec / budget
            if share > COMPILE_SHARE:
                message = (
                    f"with {self._toy_name}: the first step takes {loop.first_step_sec:.1f} s, which is {share:.0%} of "
                    f"what a trial on {name} has at mini scale"
                )
                self.guard.report("compile-time", message, "update_params")

    def _see_batch_sizes(self, functions: Any) -> None:
        self.guard.inside = "get_batch_size"
        with self._failures():
            if too_large := oversized(functions):
                self.guard.report("batch-size", f"get_batch_size {too_large}")
        self.guard.inside = ""

    def _see_graph(self, loop: Loop, before: int) -> None:
        """A graph that grows; one that the latest step left alone is let go at the next."""
        path, operations = graph(loop.optimizer_state)
        if operations >= GROWTH * before > 0:
            message = f"with {self._toy_name}: {path} keeps the graph of every step; give it .detach() or .item()"
            self.guard.report("memory", message, "update_params")

    def _same_seed(self, first: FirstRun) -> bool:
        """Whether the same seed gives the same, and goes on from a checkpoint."""
        again = self._start("a second run with the same seed", first.point)
        if different := differing(first.middle, self._advance(again, CHECKPOINT_AT)):
            return self._not_reproducible(different)
        try:
            resumed = self._through_checkpoint(again, first.point)
        except CannotSaveError as error:
            self.guard.report("checkpoint", f"with {self._toy_name}: {error}", "init_optimizer_state")
            return False
        self._resume_point()
        try:
            share = gone_elsewhere(first, self._advance(resumed, STEPS))
        except FailedError:
            return False
        if not share <= FORGIVEN:
            return self._loses(first, share)
        return True

    def _not_reproducible(self, parameter: str) -> bool:
        message = f"with {self._toy_name}: two runs of one seed differ in {parameter}"
        self.guard.report("not-reproducible", message, "update_params")
        return False

    def _loses(self, first: FirstRun, share: float) -> bool:
        """Looks for what the checkpoint lacks; where a whole run of the same seed differs late, it is not to blame."""
        again = self._start("a third run with the same seed", first.point)
        self._advance(again, CHECKPOINT_AT)
        culprit = lost(again, self._through_checkpoint(again, first.point), self.guard.folder)
        self._resume_point()
        if different := differing(first.end, self._advance(again, STEPS)):
            return self._not_reproducible(different)
        why = f": {culprit} is not in it" if culprit else ""
        message = f"with {self._toy_name}: steps after a checkpoint go elsewhere, by {share:.3%} of their length{why}"
        self.guard.report("checkpoint", message, "init_optimizer_state")
        return True

    def _other_seed(self, first: FirstRun) -> None:
        """Parameters that move only every few steps are asked again later."""
        self.guard.dropout.clear()
        other = self._start("a run with another seed", first.point, OTHER_SEED)
        values = self._advance(other, CHECKPOINT_AT)
        if not any(isinstance(rate, int | float) and rate > 0 for rate in self.guard.dropout):
            return
        if difference(first.middle.trained, values.trained):
            return
        self._resume_point()
        if not difference(first.late.trained, self._advance(other, STEPS - 1).trained):
            message = f"with {self._toy_name}: dropout is the same under another seed"
            self.guard.report("ignores-seed", message, "update_params")

    # ---- running ----

    @property
    def _toy_name(self) -> str:
        return f"the {self.loss} loss"

    def _start(self, what: str, point: Point, submission_seed: int = SEED) -> Loop:
        """A loop whose parameters and optimizer state are made."""
        self.what = what
        self.send("progress", {"phase": f"{self.task.framework}, {self._toy_name}: {what}"})
        self.backend.seed_everything(derive(seed=submission_seed, stream="global"))
        workload = TOYS[self.loss]().bind(self.backend)
        assert isinstance(workload, Toy)
        self.guard.inside = ""
        with self._failures(), self.guard.keeping_settings("the import of the entry"):
            functions = load_functions(self.task.entry, self.task.framework, defaults=point is None)
        if what == FIRST:
            self._see_batch_sizes(functions)
        spec = spec_of(self.task.entry, self.task.framework, workload, point)
        with self._failures():
            loop = Loop(
                TrialTask(spec, self.task.entry),
                self.send,
                Clock(),
                self.backend,
                workload,
                smaller(self.guard.guarded(functions, workload)),
                judge=self.judge,
            )
            loop.hyperparameters = as_namedtuple(point)
            loop.submission_seed = submission_seed
            loop.keys = key_stream(derive(seed=submission_seed, stream="steps"), per_step=2)
            loop.input_queue = WatchedQueue(loop.input_queue)
            workload.observer = self.guard
            loop.initialise()
        self.data = {name: array.copy() for name, array in loop.splits["train"].items()}
        return loop

    def _advance(self, loop: Loop, until: int) -> Moment:
        """Steps and evaluations until there were so many steps; the parameters then."""
        shape = structure(loop.params)
        self.guard.queue = loop.input_queue  # type: ignore[assignment]
        while loop.steps < until:
            with self._failures():
                stop = loop.advance()
                loop.input_queue.forget()  # type: ignore[attr-defined]
                if structure(loop.params) != shape:
                    self.guard.report(
                        "changes-model", "the parameters have other names, shapes or types", "update_params"
                    )
                    raise FailedError
            if stop is not None and loop.steps < until:
                break
        if any(not np.array_equal(self.data[name], array) for name, array in loop.splits["train"].items()):
            self.guard.report("changes-data", "the training data is not what it was", "data_selection")
        values = self._values(loop)
        return Moment(values if loop.last_eval_step < loop.steps else loop.trained, values)

    def _values(self, loop: Loop) -> dict[str, np.ndarray]:
        with self._failures():
            return loop.workload.export_parameters(loop.params)

    def _resume_point(self) -> None:
        """The state of global generators from which both the straight and the resumed run go on."""
        self.backend.seed_everything(derive(seed=SEED, stream="resumed"))

    def _through_checkpoint(self, loop: Loop, point: Point) -> Loop:
        """A new loop, with new modules and a new workload, that holds what was saved of the old one."""
        with _saving("save"):
            saved = save_training(loop.params, loop.model_state, loop.optimizer_state, loop.model)
        fresh = self._start(RESUMED, point)
        with _saving("restore"):
            fresh.params, fresh.model_state, fresh.optimizer_state = restore_training(
                saved, fresh.params, fresh.model_state, fresh.optimizer_state
            )
        for name in (
            "steps",
            "queue",
            "input_queue",
            "keys",
            "eval_results",
            "rows",
            "last_eval_step",
            "last_sync_step",
        ):
            setattr(fresh, name, getattr(loop, name))
        return fresh

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turns what the entry raises into a finding."""
        try:
            yield
        except (FailedError, CannotSaveError):
            raise
        except MemoryError as error:
            self._report_failure("memory", error)
        except InvalidSubmissionError as error:
            self._report_failure("returns", error)
        except ModuleNotFoundError as error:
            self._report_failure("dependency", error)
        except Exception as error:
            self._report_failure("threads" if _NO_PROCESSES in str(error) else "crashes", error)

    def _report_failure(self, rule: str, error: BaseException) -> None:
        function = self.guard.inside
        text = str(error).strip().partition("\n")[0]
        if error.__cause__ is not None and not function:  # its import failed
            rule, error = "crashes", error.__cause__
        if rule == "returns":
            function = text.partition(" ")[0].partition("(")[0]
            message, _, mend = text.partition("; ")
            self.guard.report(rule, message, function, mend)
        else:
            path, line = self._place_of(error) or self.guard.places.get(function, (self.task.entry.path, 1))
            message = f"with {self._toy_name}, in {self.what}: {type(error).__name__}: {text}"
            mend = advice(error)
            if self.what == RESUMED and function not in _BEFORE_RESTORING and rule == "crashes":
                message += f" ({_SURVIVES_NOT})"
                mend = mend or RULES["checkpoint"].mend
            self.guard.report_at(rule, message, path, line, mend)
        raise FailedError from error

    def _place_of(self, error: BaseException) -> tuple[Path, int] | None:
        """The innermost line of the entry in a traceback."""
        if self.guard.folder is None:
            return None
        while error.__cause__ is not None:
            error = error.__cause__
        frames = [(Path(f.filename), f.lineno or 1) for f in traceback.extract_tb(error.__traceback__)]
        own = [(path, line) for path, line in frames if path.is_relative_to(self.guard.folder)]
        return own[-1] if own else None


@contextlib.contextmanager
def _saving(what: str) -> Iterator[None]:
    """An entry's own ``state_dict`` and ``load_state_dict`` run here, and frameworks' that find another model."""
    try:
        yield
    except CannotSaveError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise CannotSaveError(f"to {what} a checkpoint fails: {type(error).__name__}: {text}") from error
