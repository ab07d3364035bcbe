import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import TIMED, UNTIMED, Clock, process_cpu_sec
from harness.data import InputQueue, evaluation_batches, shuffled_indices


class FakeTime:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@given(st.lists(st.tuples(st.sampled_from((*TIMED, *UNTIMED)), st.floats(0, 10))))
def test_every_moment_belongs_to_one_segment(visits):
    wall, cpu = FakeTime(), FakeTime()
    clock = Clock(wall, cpu)
    expected = dict.fromkeys((*TIMED, *UNTIMED), 0.0)
    for segment, seconds in visits:
        clock.switch(segment)
        wall.now += seconds
        cpu.now += 2 * seconds
        expected[segment] += seconds
    assert clock.segments() == pytest.approx(expected)
    assert sum(clock.segments().values()) == pytest.approx(clock.elapsed())
    assert clock.submission_time() == pytest.approx(sum(expected[s] for s in TIMED))
    assert clock.submission_cpu_time() == pytest.approx(2 * clock.submission_time())


def test_segments_nest_and_return_after_an_error():
    wall = FakeTime()
    clock = Clock(wall, wall)
    clock.switch("step")
    with pytest.raises(RuntimeError), clock.segment("evaluate"):
        wall.now += 3
        raise RuntimeError
    wall.now += 1
    assert clock.segments()["evaluate"] == 3
    assert clock.segments()["step"] == 1


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 2**31))
def test_every_epoch_sees_every_example_once(count, batch_size, seed):
    stream = itertools.chain.from_iterable(shuffled_indices(count, batch_size, seed))
    for _ in range(3):
        assert sorted(itertools.islice(stream, count)) == list(range(count))


def test_the_queue_is_endless_counts_and_carries_the_index():
    arrays = {"inputs": np.arange(10.0), "targets": np.arange(10)}
    queue = InputQueue(arrays, 4, 7, dict)
    batches = [next(queue) for _ in range(5)]
    assert queue.batches == 5 and queue.examples == 20
    for batch in batches:
        np.testing.assert_array_equal(batch["targets"], batch["index"])
        assert batch["index"].dtype == np.int32
    again = InputQueue(arrays, 4, 7, dict)
    np.testing.assert_array_equal(next(again)["index"], batches[0]["index"])


@given(st.integers(1, 30), st.integers(1, 40), st.booleans())
def test_evaluation_covers_every_example_once_with_equal_shapes(count, size, weighted):
    arrays = {"inputs": np.arange(count), "targets": np.arange(count)}
    if weighted:
        arrays["weights"] = np.ones((count, 3), np.float32)
    batches = list(evaluation_batches(arrays, size))
    assert len({batch["inputs"].shape for batch in batches}) == 1
    assert len({frozenset(batch) for batch in batches}) == 1
    seen = np.zeros(count)
    for batch in batches:
        weights = batch.get("weights", np.ones(len(batch["inputs"])))
        np.add.at(seen, batch["inputs"], weights if weights.ndim == 1 else weights[:, 0])
    np.testing.assert_array_equal(seen, 1)


def test_what_augmentation_draws_follows_from_the_seed_and_the_batch_alone():
    arrays = {"inputs": np.zeros((10, 3)), "targets": np.arange(10)}

    def noisy(batch, random):
        return {**batch, "inputs": batch["inputs"] + random.standard_normal(batch["inputs"].shape)}

    first, again, other = (InputQueue(arrays, 4, seed, dict, noisy) for seed in (7, 7, 8))
    drawn = [next(first)["inputs"] for _ in range(3)]
    for expected in drawn:
        np.testing.assert_array_equal(next(again)["inputs"], expected)
    assert not np.array_equal(next(other)["inputs"], drawn[0])
    assert not np.array_equal(drawn[0], drawn[1])
    assert (arrays["inputs"] == 0).all()


def test_runs_of_neighbours_stay_together_and_every_example_comes_once_per_epoch():
    batches = shuffled_indices(1_003, 50, seed=1, run=10)
    drawn = np.concatenate([next(batches) for _ in range(41)])
    first, second = drawn[:1_003], drawn[1_003:2_006]
    assert sorted(first) == sorted(second) == list(range(1_003))
    assert list(first) != list(second)
    assert (np.diff(first) == 1).sum() >= 1_003 - 101
    starts = np.flatnonzero(np.diff(first) != 1) + 1
    assert set(first[starts] % 10) == {0}


def test_positions_beyond_int32_are_kept():
    class Huge:
        def __len__(self):
            return 2**32 - 5

        def __getitem__(self, index):
            return index

    queue = InputQueue({"targets": Huge()}, 2**16, 3, lambda batch: batch, shuffle_run=2**16)
    batches = [next(queue) for _ in range(20)]
    assert max(batch["index"].max() for batch in batches) > 2**31
    for batch in batches:
        assert batch["index"].dtype == np.uint32
        np.testing.assert_array_equal(batch["index"], batch["targets"])


def test_looks_that_take_more_than_is_free_are_on_the_clock():
    now = [0.0]
    clock = Clock(lambda: now[0], lambda: now[0])
    for segment, seconds in (("step", 4.0), ("log", 0.5), ("evaluate", 2.0), ("checkpoint", 3.0), ("log", 0.25)):
        clock.switch(segment)
        now[0] += seconds
    clock.charge_looking_beyond(5.0)
    assert clock.submission_time() == clock.submission_cpu_time() == 4.0
    clock.charge_looking_beyond(1.0)
    assert clock.submission_time() == clock.submission_cpu_time() == 5.75
    assert sum(clock.segments().values()) == clock.elapsed() == 9.75
    clock.charge_looking_beyond(1.0)
    assert clock.submission_time() == 5.75


def test_a_clock_goes_on_from_another_ones_state_and_keeps_its_marks():
    wall = FakeTime()
    first = Clock(wall, wall)
    first.switch("step")
    wall.now += 5
    first.mark(3)
    state = first.state()
    second = Clock(wall, wall)
    second.switch("initialise")
    wall.now += 2
    second.resume(state)
    second.switch("evaluate")
    wall.now += 1
    assert second.segments() == {**dict.fromkeys((*TIMED, *UNTIMED), 0.0), "step": 5, "restore": 2, "evaluate": 1}
    assert second.submission_time() == second.submission_cpu_time() == 5 and second.elapsed() == 8
    assert second.marks == ({"global_step": 3, "step": 5},)


@given(st.floats(0, 9), st.floats(0, 9), st.floats(0, 20))
def test_what_goes_beyond_what_is_free_is_charged(untimed, timed, free):
    wall = FakeTime()
    clock = Clock(wall, wall)
    wall.now += untimed
    clock.switch("initialise")
    wall.now += timed
    clock.resume(Clock(wall, wall).state(), free)
    charged = max(0.0, timed - free)
    assert clock.submission_time() == clock.submission_cpu_time() == pytest.approx(charged)
    assert clock.segments()["restore"] == pytest.approx(untimed + timed - charged)
    assert clock.elapsed() == pytest.approx(untimed + timed)
    clock.charge(-1.0, "restore")
    assert clock.submission_time() == pytest.approx(charged)
    clock.charge(100.0, "restore")
    assert clock.segments()["restore"] == 0, "there is no more to charge than there was"


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 30), st.integers(1, 4))
def test_a_queue_goes_to_any_place(count, batch_size, batches, run):
    arrays = {"targets": np.arange(count)}
    straight, sent = (InputQueue(arrays, batch_size, 3, dict, None, run) for _ in range(2))
    next(sent)
    for _ in range(batches):
        next(straight)
    sent.go_to(batches)
    assert (sent.batches, sent.examples) == (straight.batches, straight.examples)
    np.testing.assert_array_equal(next(sent)["index"], next(straight)["index"])


def test_cpu_time_includes_that_of_children_which_have_ended():
    before = process_cpu_sec()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert process_cpu_sec() - before >= 0.3
