"""The battery that every ready entry passes in each of its frameworks, by short runs on mnist."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from harness.entry import entries_folder, entry_names, find_entry, load_functions
from harness.spec import OPTIONAL_SUBMISSION_FUNCTIONS, SUBMISSION_FUNCTIONS, TrainingCompleteError
from harness.tuning import as_namedtuple, sample
from submissions import composition

ENTRIES = {name: find_entry(name) for name in entry_names()}
CASES = [(name, framework) for name, entry in ENTRIES.items() for framework in entry.frameworks]
SELF_TUNING = [(name, framework) for name, framework in CASES if ENTRIES[name].self_tuning]
BOTH = [name for name, entry in ENTRIES.items() if len(entry.frameworks) == 2 and entry.self_tuning]
REPEATED = [(name, f) for name, f in SELF_TUNING if f == "torch" or name in ("nadamw_cosine", "lawa_ema", "lsuv_adamw")]
"""Every component repeats exactly in jax by its own test; these run the rest of an entry."""
SEARCHED = [(name, f) for name, f in CASES if f == "torch" or "torch" not in ENTRIES[name].frameworks]
"""A point differs from the defaults by numbers only, which reach both frameworks alike."""
STEPS = 30
SLOW_STARTS = {"dog": 150, "dog_calibrated": 150, "prodigy_calibrated": 150, "dadapt_adamw_calibrated": 39}
"""Steps to see the loss fall, of entries whose first steps are tiny by design."""


def first_point(name):
    return as_namedtuple(sample(ENTRIES[name].search_space, 1, seed=0)[0])


def test_there_is_a_field():
    kinds = [entry for entry in ENTRIES.values() if entry.kind == "composition"]
    assert len(kinds) >= 7
    assert sum(entry.self_tuning for entry in kinds) >= 4
    assert sum(entry.track == "initializers" for entry in kinds) >= 2
    assert all(entry.search_space is not None for entry in ENTRIES.values())


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_called_like_its_file_and_says_what_it_is(name):
    assert ENTRIES[name].name == name
    assert ENTRIES[name].summary


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.kind == "composition"])
def test_defaults_lie_inside_the_search_space(name, entry_data):
    data = entry_data(name)
    for key, value in data.get("defaults", {}).items():
        dimension = data["search_space"].get(key)
        if dimension and "min" in dimension:
            assert dimension["min"] <= value <= dimension["max"], key


@pytest.mark.parametrize(("name", "framework"), CASES)
def test_functions_have_algoperfs_arguments(name, framework):
    import inspect

    functions = load_functions(ENTRIES[name], framework, defaults=ENTRIES[name].self_tuning)
    for function, arguments in {**SUBMISSION_FUNCTIONS, **OPTIONAL_SUBMISSION_FUNCTIONS}.items():
        if function in SUBMISSION_FUNCTIONS or hasattr(functions, function):
            assert tuple(inspect.signature(getattr(functions, function)).parameters) == arguments


@functools.cache
def default_run(run, name, framework):
    """One run per entry and framework, which several tests look at: compilation is what costs."""
    return run(load_functions(ENTRIES[name], framework, defaults=True), framework, SLOW_STARTS.get(name, STEPS))


@pytest.mark.parametrize(("name", "framework"), SELF_TUNING)
def test_learns_with_its_defaults(name, framework, run):
    losses = default_run(run, name, framework).losses
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(("name", "framework"), REPEATED)
def test_repeats_exactly(name, framework, run):
    first = default_run(run, name, framework)
    again = run(load_functions(ENTRIES[name], framework, defaults=True), framework, len(first.losses))
    assert again.losses == first.losses
    assert all((again.values[key] == value).all() for key, value in first.values.items())


@pytest.mark.parametrize(("name", "framework"), SEARCHED)
def test_learns_from_a_point_of_its_search_space(name, framework, run):
    functions = load_functions(ENTRIES[name], framework, defaults=False)
    losses = run(functions, framework, 20, first_point(name)).losses
    assert np.isfinite(losses).all()
    assert min(losses) < losses[0]


@pytest.mark.parametrize("name", BOTH)
def test_both_frameworks_train_alike(name, run):
    in_torch, in_jax = (default_run(run, name, framework).losses[:10] for framework in ("torch", "jax"))
    np.testing.assert_allclose(in_torch, in_jax, rtol=2e-3)


@pytest.mark.parametrize("name", [name for name, framework in SELF_TUNING if framework == "jax"])
def test_jax_compiles_one_step(name, run):
    _, update = default_run(run, name, "jax").optimizer_state
    assert update._cache_size() == 1


@pytest.mark.parametrize("name", ["schedule_free_adamw", "lawa_ema", "lawa_queue"])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_evaluating_does_not_disturb_the_training(framework, name, run):
    functions = load_functions(ENTRIES[name], framework, defaults=True)
    plain = run(functions, framework, 12)
    evaluated = run(functions, framework, 12, evaluate_every=3)
    for name, value in plain.values.items():
        np.testing.assert_allclose(evaluated.values[name], value, atol=2e-5)


@pytest.mark.parametrize("name", ["schedule_free_adamw", "lawa_ema", "lawa_queue"])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_an_average_is_evaluated(framework, name, run, mnist):
    """Twice prepared is prepared once, and differs from the parameters that are trained."""
    functions = load_functions(ENTRIES[name], framework, defaults=True)
    after = run(functions, framework, 12)
    workload = mnist(framework)

    def prepare(state, params):
        return functions.prepare_for_eval(workload, params, None, None, None, workload.loss_type, state, [], 12, None)

    state, params, _ = prepare(after.optimizer_state, after.params)
    once = workload.export_parameters(params)
    _, params, _ = prepare(state, params)
    for name, value in workload.export_parameters(params).items():
        np.testing.assert_allclose(value, once[name], atol=1e-6)
    assert max(np.abs(once[name] - value).max() for name, value in after.values.items()) > 1e-4


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_training_is_complete_where_the_schedule_reaches_zero(framework, run, mnist):
    data = {"name": "short", "optimizer": "adamw", "schedule": {"name": "warmup_linear", "horizon": 0.5}}
    functions = composition.load(data, framework, defaults=True)
    assert len(run(functions, framework, 20).losses) == 20
    with pytest.raises(TrainingCompleteError, match="the learning rate is 0 from step 20 on"):
        run(functions, framework, 21)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_gradients_are_clipped_to_the_global_norm(framework, run, mnist):
    data = {"name": "clipped", "optimizer": {"name": "sgd_nesterov", "learning_rate": 1.0, "momentum": 0.0}}
    start = run(composition.load(data, framework, defaults=True), framework, 0).values
    step = run(composition.load(data | {"gradient_clip": 0.01}, framework, defaults=True), framework, 1).values
    free = run(composition.load(data | {"gradient_clip": 1e6}, framework, defaults=True), framework, 1).values
    moved, unclipped = (
        np.sqrt(sum(np.square(values[name] - start[name], dtype=np.float64).sum() for name in start))
        for values in (step, free)
    )
    assert unclipped > 0.1
    assert moved == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_label_smoothing_reaches_the_loss(framework, run):
    """With SGD, the step is linear in the smoothing: half of it lies halfway."""
    steps = []
    for smoothing in (0.0, 0.2, 0.4):
        data = {"name": "smooth", "optimizer": {"name": "sgd_nesterov", "momentum": 0.0}, "label_smoothing": smoothing}
        steps.append(run(composition.load(data, framework, defaults=True), framework, 1).values["Dense_1.bias"])
    assert np.abs(steps[2] - steps[0]).max() > 1e-4
    np.testing.assert_allclose(steps[1], (steps[0] + steps[2]) / 2, atol=1e-6)


# ---- the templates ----


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_template_is_adamw_with_warmup_and_cosine(framework, run):
    space = json.loads((entries_folder() / f"template_{framework}" / "tuning_search_space.json").read_text())
    functions = load_functions(find_entry(f"template_{framework}"), framework, defaults=True)
    settings = dict(functions.DEFAULTS)
    warmup = settings.pop("warmup_fraction")
    same = {
        "name": "same",
        "optimizer": {"name": "adamw", **settings},
        "schedule": {"name": "warmup_cosine", "warmup_fraction": warmup},
    }
    assert set(space) == {"warmup_fraction", *settings} - {"epsilon"}
    template = run(functions, framework, 20)
    library = run(composition.load(same, framework, defaults=True), framework, 20)
    for name, value in library.values.items():
        np.testing.assert_allclose(template.values[name], value, atol=2e-5)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_template_imports_the_contract_and_its_framework_only(framework):
    import ast

    tree = ast.parse((entries_folder() / f"template_{framework}" / "submission.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {
        f"{node.module}.{a.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names
    }
    known = {"torch": {"torch"}, "jax": {"jax", "jax.numpy", "optax"}}[framework]
    assert imported <= known | {"harness.spec", "math", "typing.Any", "typing.NamedTuple"}
