"""Checkpoints in a trial's process: what of a training loop is saved, and how a new process goes on from it.

A new process initialises the trial as the first one did, which gives it functions and objects, and then takes the
saved values. Before it goes on it rehearses two steps and a preparation for evaluation, and takes the saved values
again, so that compilation, which the first process was charged for, is not charged twice. All of that is off the clock,
and so is saving, as far as honest work needs it; what an entry's code takes beyond that is charged. What an entry keeps
outside its optimizer state and its parameters (a module's globals) is not saved.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import time
from collections.abc import Mapping
from pickle import HIGHEST_PROTOCOL, dumps, loads
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checkpoint import CheckpointPlace, DamagedCheckpointError, digest_of, free_writing_sec
from harness.clock import ClockState
from harness.saving import CannotSaveError, restore_training, save_training

if TYPE_CHECKING:
    from harness.trial import TrainingLoop

_FIELDS = (
    "steps",
    "rows",
    "eval_results",
    "bad_evaluations",
    "crossing",
    "right",
    "notes",
    "last_eval_step",
    "last_eval_time",
    "last_sync_step",
    "sync_every",
)
"""Of the training loop; beside them its clock, parameters and states, place in the data, and random generators."""
REHEARSED_STEPS = 2
"""A step compiled by jax may be compiled once more for the placement of its own results."""
FREE_SAVING_SHARE = 0.02
"""Of the wall time since the last checkpoint: so much may saving a state take off the clock. The next one waits until
that holds for what the last one took, and the first for as long as a state of the usual size needs."""
USUAL_STATES, SAVED_BYTES_PER_SEC = 4, 1e8
"""A state of usual size is so many times the parameters, and so much of it is saved per second at least."""
FREE_RESTORING_FACTOR, FREE_RESTORING_SEC = 4.0, 0.3
"""So many times the CPU time that saving the state took, and seconds more, may making the entry's objects of it,
twice, take off the clock: their code runs, on both sides, and what saving takes is charged beyond its share."""
FREE_AGAIN_FACTOR, FREE_AGAIN_SEC = 3.0, 2.0
"""So many times what it took on the clock, and seconds more, may a new start take off it: the machine may be busier."""


class StartOverError(Exception):
    """The checkpoint cannot be gone on from, and has left traces: the trial needs a new process."""


class Checkpoints:
    """Saves a training loop after evaluations, and resumes one; does nothing without a place."""

    def __init__(self, place: CheckpointPlace | None) -> None:
        self.place = place
        self._refused = False
        self._last = time.monotonic()
        self._took: float | None = None

    @property
    def interruptions(self) -> int:
        return self.place.interruptions if self.place else 0

    # ---- saving ----

    def save_if_due(self, loop: TrainingLoop) -> None:
        """Saves unless the last time was just now; a full disk or a state that cannot be saved is noted, no error."""
        began = time.monotonic()
        if self.place is None or self._refused or began - self._last < self._pause_sec(loop):
            return
        free = FREE_SAVING_SHARE * (began - self._last)
        with loop.clock.segment("checkpoint"):
            try:
                data = _captured(loop, free)
                self._write(loop, data)
            except CannotSaveError as error:
                self._refused = True
                loop.note(f"no checkpoints, an interruption starts it over: {error}")
            except OSError as error:
                loop.note(f"a checkpoint could not be written: {error.strerror or error}")
        self._last = time.monotonic()
        self._took = self._last - began

    def _pause_sec(self, loop: TrainingLoop) -> float:
        """As long as was asked for at least, and none where every evaluation is to be followed by a checkpoint."""
        assert self.place is not None
        usual = USUAL_STATES * 4 * loop.workload.num_parameters / SAVED_BYTES_PER_SEC
        expected = usual if self._took is None else self._took
        return max(self.place.every_sec, expected / FREE_SAVING_SHARE) if self.place.every_sec else 0.0

    def _write(self, loop: TrainingLoop, data: bytes) -> None:
        """Nothing of an entry's has a part in this; CPU time that it takes beyond what it can take is charged all the
        same. Waiting for a disk is free.

        Raises:
          OSError: the disk is full or the folder is gone.
        """
        assert self.place is not None
        began = loop.clock.cpu()
        try:
            digest = digest_of(data)
            loop.send("saved", {"digest": digest.hex(), "bytes": len(data)})  # an entry can write that file too
            self.place.write(data, digest)
        finally:
            loop.clock.charge(loop.clock.cpu() - began - free_writing_sec(len(data)), "checkpoint")

    # ---- going on ----

    def resume(self, loop: TrainingLoop) -> None:
        """Takes the loop, just initialised, to where the last checkpoint was made; where there is none, says so.

        Raises:
          StartOverError: there is one, but the trial must start over.
        """
        if self.place is None or not self.interruptions:
            return
        why = self.place.given_up() or "no checkpoint was made before"
        try:
            data = self.place.read()
        except DamagedCheckpointError as error:
            data, why = None, str(error)
        if data is None:
            loop.note(f"started over after an interruption: {why}")
            return
        fresh = (loop.params, loop.model_state, loop.optimizer_state)
        try:
            saved, saving, times, rows = loads(data)  # before the entry's objects are made of it
            clock = ClockState(*times)
            restoring = _restore(loop, saved, fresh)
            _rehearse(loop)
            restoring += _restore(loop, saved, fresh)
            loop.rows = rows
            free = _free_again(clock.segments, loop.steps, len(loop.rows))
            beyond = restoring - FREE_RESTORING_FACTOR * saving - FREE_RESTORING_SEC
        except Exception as error:  # pickled objects of an entry may raise anything
            self.place.give_up(f"its checkpoint cannot be used ({type(error).__name__}: {error})")
            raise StartOverError from error
        loop.resumed(clock, free, beyond)


def _free_again(segments: Mapping[str, float], steps: int, evaluations: int) -> float:
    """Seconds that initialising, compiling and rehearsing may take off the clock, from what they took on it."""
    per_step = (segments["step"] + segments["data_selection"]) / max(steps, 1)
    preparing = segments["prepare_for_eval"] / max(evaluations, 1)
    before = segments["initialise"] + segments["compile"] + REHEARSED_STEPS * per_step + preparing
    return FREE_AGAIN_FACTOR * before + FREE_AGAIN_SEC


def _captured(loop: TrainingLoop, free_sec: float) -> bytes:
    """What is saved. An entry's objects take part in that, so what it takes beyond ``free_sec`` is put on the clock.

    Raises:
      CannotSaveError: some of it cannot be pickled.
    """
    began, cpu_began = loop.clock.elapsed(), loop.clock.cpu()
    state = {
        "fields": {name: getattr(loop, name) for name in _FIELDS},
        "batches": loop.queue.batches,
        "random": random_states(),
        "training": save_training(loop.params, loop.model_state, loop.optimizer_state, loop.model),
    }
    try:
        saved = dumps(state, HIGHEST_PROTOCOL)
    except Exception as error:
        raise CannotSaveError(f"a type in optimizer_state cannot be saved: {error}") from error
    finally:
        loop.backend.synchronize(loop.params, loop.model_state, loop.optimizer_state)
        loop.clock.charge(loop.clock.elapsed() - began - free_sec, "checkpoint")
    # The rest is of plain types, whose pickling runs nothing: it is charged to nobody any more.
    saving, clock = loop.clock.cpu() - cpu_began, loop.clock.state()
    return dumps((saved, saving, (dict(clock.segments), clock.timed_cpu, clock.marks), loop.rows), HIGHEST_PROTOCOL)


def _restore(loop: TrainingLoop, saved: bytes, fresh: tuple[Any, Any, Any], loads: Any = loads) -> float:
    """Gives the loop what was saved; returns the CPU seconds that making the entry's objects of it took."""
    with loop.clock.segment("restore"):
        began = loop.clock.cpu()
        state = loads(saved)
        loop.params, loop.model_state, loop.optimizer_state = restore_training(state["training"], *fresh)
        restoring = loop.clock.cpu() - began
    for name, value in state["fields"].items():
        setattr(loop, name, value)
    loop.queue.go_to(state["batches"])
    loop.keys = itertools.islice(loop.new_keys(), loop.steps, None)
    set_random_states(state["random"])
    return restoring


def _rehearse(loop: TrainingLoop) -> None:
    """Makes an entry compile what it compiles. What is wrong with a step shows again when it is made in earnest."""
    with contextlib.suppress(Exception):
        for _ in range(REHEARSED_STEPS):
            loop.step()
        loop.prepare_for_eval()
        loop.synchronize()


def random_states() -> dict[str, Any]:
    """Of the global generators; what was never imported has none."""
    states: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state()}
    if "torch" in sys.modules:
        import torch

        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if "torch" in states:
        import torch

        torch.set_rng_state(states["torch"])
        if "cuda" in states:
            torch.cuda.set_rng_state_all(states["cuda"])
