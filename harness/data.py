"""Batches from a workload's arrays: an endless shuffled queue for training, padded batches in order for evaluation."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.seeds import derive
from harness.spec import EvalBatch, Workload, WorkloadError

Arrays = Mapping[str, np.ndarray]


def shuffled_indices(count: int, batch_size: int, seed: int, run: int = 1) -> Iterator[np.ndarray]:
    """Endless batches of indices below ``count``: a fresh permutation per epoch, epochs joined without a gap.

    Runs of ``run`` neighbours stay together; only the order of the runs is permuted.
    """
    pieces = _shuffled_pieces(count, run, np.random.RandomState(seed))
    pending = np.empty(0, np.int64)
    while True:
        waiting, examples = [pending], len(pending)
        while examples < batch_size:
            waiting.append(next(pieces))
            examples += len(waiting[-1])
        pending = np.concatenate(waiting) if len(waiting) > 1 else pending
        yield pending[:batch_size]
        pending = pending[batch_size:]


def _shuffled_pieces(count: int, run: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
    while True:
        if run == 1:
            yield random.permutation(count)
        else:
            for first in random.permutation(-(-count // run)) * run:
                yield np.arange(first, min(first + run, count))


class InputQueue:
    """The endless source of a submission's training batches; counts what was drawn.

    A batch holds the workload's arrays and ``index``, the position of each example in the training set. What
    ``augment`` draws follows from the seed and the number of the batch alone.
    """

    def __init__(
        self,
        arrays: Arrays,
        batch_size: int,
        seed: int,
        place: Callable[[Arrays], Any],
        augment: Callable[[Arrays, np.random.RandomState], Arrays] | None = None,
        shuffle_run: int = 1,
    ) -> None:
        self._seed, self._batch_size = seed, batch_size
        self._augment = augment
        self._arrays = arrays
        self._shuffle_run = shuffle_run
        # The largest training set has more examples than int32 can count; jax has no int64 by default.
        self._index_type = np.int32 if len(arrays["targets"]) <= 2**31 else np.uint32
        self._place = place
        self.go_to(0)

    def go_to(self, batches: int) -> None:
        """Goes on as if so many batches had been drawn from a new queue."""
        count = len(self._arrays["targets"])
        self._indices = shuffled_indices(count, self._batch_size, self._seed, self._shuffle_run)
        collections.deque(itertools.islice(self._indices, batches), maxlen=0)
        self.batches, self.examples = batches, batches * self._batch_size

    def __iter__(self) -> Iterator[Any]:
        """What a submission draws from: a generator, through which nobody reaches what is drawn next or counted."""
        while True:
            yield next(self)

    def __next__(self) -> Any:
        index = next(self._indices)
        batch: Arrays = {name: array[index] for name, array in self._arrays.items()}
        if self._augment is not None:
            batch = self._augment(batch, np.random.RandomState(derive(seed=self._seed, batch=self.batches)))
        self.batches += 1
        self.examples += len(index)
        return self._place({**batch, "index": index.astype(self._index_type)})


def evaluation_batches(arrays: Arrays, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """All examples in order. Every batch has the same shape; where the split does not divide evenly, the last one is
    padded with repeats of its first example, and all carry ``weights`` that are 0 on the padding."""
    count = len(arrays["targets"])
    size = min(batch_size, count)
    divides = count % size == 0
    for start in range(0, count, size):
        index = np.arange(start, min(start + size, count))
        real = len(index)
        index = np.concatenate([index, np.full(size - real, start)])
        batch = {name: np.asarray(array[index]) for name, array in arrays.items()}
        if not divides:
            mask = (np.arange(size) < real).astype(np.float32)
            weights = batch.get("weights", np.ones(size, np.float32))
            batch["weights"] = (weights * mask.reshape(mask.shape + (1,) * (weights.ndim - 1))).astype(np.float32)
        yield batch


def noting_right(workload: Workload, evaluated: Iterable[EvalBatch], right: list[np.ndarray]) -> Iterator[EvalBatch]:
    """Passes batches on, and appends which of their real examples are classified rightly to ``right``."""
    for batch in evaluated:
        found = workload.is_right(batch)
        if found is not None:
            count = len(batch.batch["targets"])
            if found.shape != (count,):
                raise WorkloadError(f"{workload.name}: is_right gave {found.shape} for {count} examples")
            real = np.asarray(batch.batch.get("weights", np.ones(count))).reshape(count, -1)[:, 0] > 0
            right.append(np.asarray(found, bool)[real])
        yield batch
