import dataclasses

import pytest

from harness.plan import plan_trials
from harness.spec import Target
from harness.suite import Request
from harness.trial import run_trial
from harness.workloads import make_workload


def test_nothing_of_an_entrys_runs_when_they_are_counted(write_entry):
    hooked = "    model_params.register_forward_pre_hook(lambda *_: 1 / 0)\n    return {"
    entry = write_entry("hooked", "torch", {"    return {": hooked})
    request = Request(("mnist",), ((str(entry), None),), "self_tuning", 1, 1, max_steps=1)
    task = dataclasses.replace(plan_trials(request)[0].task, count_flops=True)
    phases = []
    with pytest.raises(ZeroDivisionError):  # at its first step
        run_trial(task, lambda kind, payload: phases.append(payload.get("phase")))
    assert phases[-2:] == ["calibrate", "train"]


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_operations_of_a_step_are_counted_and_change_nothing(write_entry, monkeypatch, framework):
    monkeypatch.setattr("harness.spec.Workload._declared_target", lambda self: Target(0.999, 0.999))
    request = Request(("mnist",), ((str(write_entry("adam", framework)), None),), "self_tuning", 1, 1, max_steps=5)
    task = plan_trials(request)[0].task
    outcomes, losses = [], []
    for count in (False, True):
        rows = []
        send = lambda kind, payload, rows=rows: rows.append(payload) if kind == "evaluation" else None  # noqa: E731
        outcomes.append(run_trial(dataclasses.replace(task, count_flops=count), send))
        losses.append([row["validation/loss"] for row in rows])
    assert losses[0] == losses[1]
    assert outcomes[0].flops_per_step is None
    products = [p.size for p in make_workload("mnist").parameters() if p.name.endswith("kernel")]
    # Forward, gradients of the kernels, and of the inputs of all layers but the first: two operations per product.
    expected = 2 * 64 * (3 * sum(products) - products[0])
    assert expected <= outcomes[1].flops_per_step < (1.0 if framework == "torch" else 1.25) * expected + 1
