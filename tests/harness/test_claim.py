"""Parameters that met a target, kept and evaluated again without the entry."""

import dataclasses
import multiprocessing
import pickle
import pickletools
import re

import numpy as np
import pytest

from harness.claim import CLAIM_FILE, ClaimError, read_claim, save_claim, values_of, workload_of
from harness.data import evaluation_batches
from harness.frameworks import load
from harness.judge import DistantJudge, Judge, judge_of, verified
from harness.plan import plan_trials
from harness.seeds import key_words
from harness.suite import Request
from harness.workloads import make_workload, workload_names

COMPILED = ("mnist", "cifar")
"""Workloads whose jax version is tried too: without and with a model state. Compiling more takes minutes."""
SMALL = 64
"""Validation examples, so that beams and images take seconds."""


def task_of(name, framework, folder):
    request = Request((name,), (("nadamw_cosine", framework),), ruleset="self_tuning", studies=1, trials=1)
    return dataclasses.replace(plan_trials(request)[0].task, claim=folder)


def fewer_examples(monkeypatch, name):
    cls = type(make_workload(name))
    whole = cls.examples
    monkeypatch.setattr(
        cls, "examples", lambda self, split: {k: v[np.arange(SMALL)] for k, v in whole(self, split).items()}
    )


def bound_anew(name, framework, folder):
    backend = load(framework)
    return workload_of(task_of(name, framework, folder), backend), backend


def started(task, seed):
    """A workload with parameters and a state that no fresh start has."""
    backend = load(task.spec.key.framework)
    workload = workload_of(task, backend)
    params, state = workload.init_model_fn(backend.random_key(key_words(seed, 0)))
    random = np.random.RandomState(seed)
    changed = {s.name: random.uniform(0.5, 1.5, s.shape).astype(np.float32) for s in workload.statistics()}
    if changed:
        state = backend.import_statistics(workload, params, state, changed)
    return backend, workload, params, state


@pytest.mark.parametrize(
    ("name", "framework"),
    [(name, "torch") for name in workload_names()] + [(name, "jax") for name in COMPILED],
)
def test_verification_finds_what_the_trial_found(name, framework, tmp_path, monkeypatch):
    fewer_examples(monkeypatch, name)
    task = task_of(name, framework, tmp_path)
    backend, workload, params, state = started(task, seed=7)
    save_claim(tmp_path / CLAIM_FILE, values_of(workload, backend, params, state).packed())
    stored = evaluation_batches(workload.examples("validation"), workload.eval_batch_size)
    own = workload.evaluate(backend.evaluated(workload, params, state, map(workload.collate, stored)))
    found = verified(*judge_of(task), tmp_path)
    assert found.value == own[workload.metric.name] and found.wall_sec > 0


def test_values_come_back_by_name(tmp_path):
    task = task_of("cifar", "torch", tmp_path)
    backend, workload, params, state = started(task, seed=1)
    save_claim(tmp_path / CLAIM_FILE, values_of(workload, backend, params, state).packed())
    values = read_claim(tmp_path / CLAIM_FILE, workload)
    exported = backend.export_parameters(workload, params)
    assert values.parameters.keys() == exported.keys()
    assert all(np.array_equal(values.parameters[name], exported[name]) for name in exported)
    assert values.statistics.keys() == {s.name for s in workload.statistics()}


def test_what_hangs_on_the_model_of_a_submission_has_no_part_in_its_evaluation(tmp_path, monkeypatch):
    fewer_examples(monkeypatch, "mnist")
    backend, workload, params, state = started(task_of("mnist", "torch", tmp_path), seed=3)
    judge = Judge(*bound_anew("mnist", "torch", tmp_path))
    before = judge.evaluate(values_of(workload, backend, params, state).packed(), "validation")
    params.register_forward_hook(lambda module, inputs, output: 100.0 * output.roll(1, 1))
    params.forward = lambda batch, dropout_rate: pytest.fail("the submission's model was asked")
    assert judge.evaluate(values_of(workload, backend, params, state).packed(), "validation") == before


def test_values_are_copies(tmp_path):
    import torch

    backend, workload, params, state = started(task_of("cifar", "torch", tmp_path), seed=3)
    values = values_of(workload, backend, params, state)
    kept = {name: array.copy() for name, array in {**values.parameters, **values.statistics}.items()}
    with torch.no_grad():
        for tensor in (*params.parameters(), *params.buffers()):
            tensor.zero_()
    assert all(np.array_equal({**values.parameters, **values.statistics}[name], array) for name, array in kept.items())


def test_what_is_sent_to_the_judge_is_of_plain_types_alone(tmp_path):
    """Of any other type an entry could say how it is pickled, which would run while the clock stands."""
    backend, workload, params, state = started(task_of("cifar", "torch", tmp_path), seed=3)
    told: list[bytes] = []
    here, there = multiprocessing.Pipe()
    here.send(({}, None))
    judge = DistantJudge(lambda kind, payload: told.append(pickle.dumps((kind, payload))), there)
    judge.evaluate(values_of(workload, backend, params, state).packed(), "validation")
    opcodes = {opcode.name for opcode, *_ in pickletools.genops(told[0])}
    assert "BINBYTES" in opcodes and not opcodes & {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}


def damage(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def replace_one(path):
    with np.load(path) as file:
        arrays = dict(file)
    arrays[next(iter(arrays))] = np.zeros((3, 3), np.float32)
    np.savez(path, **arrays)


def pickled(path):
    with path.open("wb") as file:
        np.savez(file, **{"parameter/Dense_0.kernel": np.array([{}], object)})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "kept no parameters"),
        (damage, "cannot be read"),
        (pickled, "cannot be read"),
        (replace_one, r"kept \(3, 3\) for .*kernel, which has the shape \(784, 128\)"),
    ],
    ids=["gone", "cut short", "with code in it", "another shape"],
)
def test_a_claim_that_holds_nothing_is_refused(harm, message, tmp_path):
    task = task_of("mnist", "torch", tmp_path)
    backend, workload, params, state = started(task, seed=1)
    save_claim(tmp_path / CLAIM_FILE, values_of(workload, backend, params, state).packed())
    harm(tmp_path / CLAIM_FILE)
    refused = verified(*judge_of(task), tmp_path)
    assert isinstance(refused, ClaimError) and re.search(message, str(refused))


def test_a_model_without_the_parameters_cannot_claim(tmp_path):
    import torch

    backend, workload, _, _ = started(task_of("mnist", "torch", tmp_path), seed=1)
    with pytest.raises(ClaimError, match="lacks the workload's parameters"):
        values_of(workload, backend, torch.nn.Linear(2, 2), None)
