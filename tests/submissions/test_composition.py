"""Reading, checking and resolving compositions."""

from __future__ import annotations

import collections
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.spec import TrainingCompleteError
from submissions import components, composition
from submissions.composition import CompositionError, Problem

SOUND = {
    "name": "mine",
    "summary": "for tests",
    "framework": "both",
    "optimizer": {"name": "adamw", "one_minus_beta1": "$one_minus_beta1", "weight_decay": 0.1},
    "schedule": {"name": "warmup_cosine", "warmup_fraction": "$warmup", "horizon": 0.5},
    "initializer": "default",
    "gradient_clip": "$clip",
    "label_smoothing": 0.1,
    "batch_size": {"mnist": 32},
    "track": "algoperf",
    "search_space": {
        "learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
        "one_minus_beta1": {"min": 0.01, "max": 0.3, "scaling": "log"},
        "warmup": {"feasible_points": [0.0, 0.1]},
    },
    "defaults": {"learning_rate": 1e-3, "one_minus_beta1": 0.1, "warmup": 0.1, "clip": 1.0},
}


def changed(*path_and_value):
    """SOUND with the value at a path replaced; None removes the key."""
    *path, last, value = path_and_value
    data = copy.deepcopy(SOUND)
    node = data
    for key in path:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return data


def point(**values):
    return collections.namedtuple("Hyperparameters", values)(**values)


def test_a_sound_composition_has_no_problems():
    assert composition.problems(SOUND) == []
    assert composition.frameworks(SOUND) == ("torch", "jax")
    assert composition.frameworks(changed("framework", "jax")) == ("jax",)


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (changed("name", None), (), "name is missing; add it"),
        (changed("name", 3), ("name",), "expected text, found 3"),
        (changed("optimiser", "adamw"), ("optimiser",), "unknown key; did you mean 'optimizer'? known: averaging"),
        (changed("framework", "pytorch"), ("framework",), "unknown framework 'pytorch'; did you mean 'torch'?"),
        (changed("track", "algo"), ("track",), "unknown track 'algo'; did you mean 'algoperf'?"),
        (
            changed("optimizer", "name", "adamv"),
            ("optimizer", "name"),
            "unknown optimizer 'adamv'; did you mean 'adamw'?",
        ),
        (changed("schedule", "cosine"), ("schedule",), "unknown schedule 'cosine'; did you mean 'warmup_cosine'?"),
        (changed("initializer", {"gain": 1.0}), ("initializer",), "name one, as in `initializer: {name: default}`"),
        (
            changed("optimizer", None),
            ("optimizer",),
            "name one, as in `optimizer: {name: adafactor}`; known: adafactor",
        ),
        (
            changed("optimizer", "wieght_decay", 0.1),
            ("optimizer", "wieght_decay"),
            "adamw has no hyperparameter 'wieght_decay'; did you mean 'weight_decay'?",
        ),
        (
            changed("optimizer", "beta1", 0.9),
            ("optimizer", "one_minus_beta1"),
            "beta1 is given as well; keep one of them",
        ),
        (changed("optimizer", "weight_decay", -1.0), ("optimizer", "weight_decay"), "-1.0 lies outside [0, inf)"),
        (changed("optimizer", "epsilon", "tiny"), ("optimizer", "epsilon"), "expected a finite number, found 'tiny'"),
        (changed("schedule", "horizon", 0), ("schedule", "horizon"), "0 lies outside (0, inf)"),
        (changed("label_smoothing", 1.0), ("label_smoothing",), "1.0 lies outside [0, 1)"),
        (changed("gradient_clip", -1), ("gradient_clip",), "-1 lies outside (0, inf)"),
        (changed("batch_size", {"mnist": 0}), ("batch_size", "mnist"), "expected a whole number from 1 on, found 0"),
        (changed("batch_size", 64), ("batch_size",), "expected a mapping from workload names to batch sizes, found 64"),
        (changed("defaults", [1]), ("defaults",), "expected a mapping from placeholders to values, found [1]"),
        (changed("search_space", "wide"), ("search_space",), "expected a mapping or a list of points, found 'wide'"),
        (
            changed("schedule", "warmup_fraction", "$warmpu"),
            ("schedule", "warmup_fraction"),
            "$warmpu is defined neither in search_space nor in defaults; did you mean 'warmup'?",
        ),
        (
            changed("defaults", "warmup", None),
            ("defaults",),
            "warmup is missing; $warmup needs a value under the self-tuning ruleset too",
        ),
        (
            changed("defaults", "momentum", 0.9),
            ("defaults", "momentum"),
            "is used nowhere; write $momentum where it belongs, or remove it",
        ),
        (changed("search_space", "lr", {"min": 0, "max": 1}), ("search_space", "lr"), "is used nowhere; write $lr"),
        (
            changed("search_space", "warmup", "feasible_points", [0.1, 2.0]),
            ("search_space", "warmup", "feasible_points", 1),
            "as schedule.warmup_fraction: 2.0 lies outside [0, 1]",
        ),
        (
            changed("search_space", "one_minus_beta1", "min", -0.5),
            ("search_space", "one_minus_beta1", "min"),
            "as optimizer.one_minus_beta1: 1 - -0.5 = 1.5 lies outside [0, 1)",
        ),
        (
            changed("search_space", "learning_rate", "min", 0.0),
            ("search_space", "learning_rate", "min"),
            "as optimizer.learning_rate: 0.0 lies outside (0, inf)",
        ),
        (
            changed("defaults", "learning_rate", "1e-3"),
            ("defaults", "learning_rate"),
            "as optimizer.learning_rate: expected a finite number, found '1e-3'",
        ),
        (
            changed("search_space", [{"learning_rate": 0.1, "one_minus_beta1": 0.1, "warmup": 7}]),
            ("search_space", 0, "warmup"),
            "as schedule.warmup_fraction: 7 lies outside [0, 1]",
        ),
        (
            changed("initializer", "lsuv"),
            ("track",),
            "the algoperf track fixes the initial values; write `track: initializers`, or open",
        ),
    ],
)
def test_each_problem_is_found_at_its_place(data, path, message):
    assert any(p.path == path and p.message.startswith(message) for p in composition.problems(data))


def test_no_common_framework_is_a_problem(monkeypatch):
    only_jax = components.Component(
        "optimizer",
        "adamw",
        "",
        components.load("optimizer", "adamw").defaults,
        components.BOUNDS,
        ("jax",),
        components,
    )
    load = components.load
    monkeypatch.setattr(components, "load", lambda kind, name: only_jax if kind == "optimizer" else load(kind, name))
    assert composition.frameworks(SOUND) == ("jax",)
    found = composition.problems(changed("framework", "torch"))
    assert [str(problem) for problem in found] == [
        "framework: no framework has all components: optimizer adamw has jax; schedule warmup_cosine has torch, jax; "
        "averaging none has torch, jax; initializer default has torch, jax"
    ]


def test_defaults_serve_the_self_tuning_ruleset():
    plan = composition.plan(SOUND, None, step_hint=100, defaults=True)
    assert plan.settings["optimizer"] == {
        "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1
    }  # fmt: skip
    assert plan.settings["schedule"] == {"warmup_fraction": 0.1, "final_fraction": 0.0}
    assert (plan.gradient_clip, plan.label_smoothing) == (1.0, 0.1)


def test_a_trials_point_comes_before_the_defaults_which_fill_in():
    plan = composition.plan(SOUND, point(learning_rate=0.5, one_minus_beta1=0.25, warmup=0.0), 100, defaults=False)
    assert plan.settings["optimizer"]["learning_rate"] == 0.5
    assert plan.settings["optimizer"]["beta1"] == 0.75
    assert plan.gradient_clip == 1.0


def test_a_point_without_a_placeholders_value_is_an_error():
    data = changed("defaults", None)
    data["gradient_clip"] = 1.0
    with pytest.raises(CompositionError) as caught:
        composition.plan(data, point(learning_rate=0.5, warmup=0.0), 100, defaults=False)
    assert str(caught.value) == (
        "optimizer.one_minus_beta1: $one_minus_beta1 has no value; "
        "the trial's hyperparameters are: learning_rate, warmup"
    )


def test_a_point_out_of_bounds_is_an_error():
    with pytest.raises(CompositionError, match=r"schedule\.warmup_fraction: 3 lies outside \[0, 1\]"):
        composition.plan(SOUND, point(warmup=3), 100, defaults=False)


def test_learning_rate_is_bound_without_being_written_only_where_it_is_defined():
    data = {"name": "bare", "optimizer": "adamw"}
    assert composition.problems(data) == []
    assert composition.plan(data, None, 10, defaults=True).settings["optimizer"]["learning_rate"] == 1e-3
    data["search_space"] = {"learning_rate": {"feasible_points": [0.25]}}
    assert composition.problems(data) == []
    assert composition.plan(data, point(learning_rate=0.25), 10, False).settings["optimizer"]["learning_rate"] == 0.25


def test_the_schedule_is_laid_out_over_the_horizon_and_ends_the_training():
    plan = composition.plan(SOUND, None, step_hint=100, defaults=True)
    assert plan.last_step == 50
    assert [plan.multiplier(step) for step in (0, 5)] == [0.0, 1.0]
    assert 0 < plan.multiplier(49) < 0.01
    with pytest.raises(TrainingCompleteError, match="the learning rate is 0 from step 50 on"):
        plan.multiplier(50)


def test_beyond_the_horizon_the_last_value_holds():
    plan = composition.plan(changed("schedule", "final_fraction", 0.25), None, step_hint=100, defaults=True)
    assert plan.multiplier(50) == plan.multiplier(10_000) == 0.25


def test_batch_sizes_are_given_for_named_workloads_only():
    functions = composition.load(SOUND, "torch", defaults=True)
    assert functions.get_batch_size("mnist") == 32
    with pytest.raises(ValueError, match="mine has no batch size for criteo1tb; the workload's own is used"):
        functions.get_batch_size("criteo1tb")


def test_loading_a_malformed_composition_lists_its_problems():
    with pytest.raises(CompositionError) as caught:
        composition.load(changed("optimizer", "weight_decay", -1.0) | {"track": "none"}, "torch", defaults=True)
    assert "track: unknown track 'none'" in str(caught.value)
    assert "optimizer.weight_decay: -1.0 lies outside [0, inf)" in str(caught.value)


def test_loading_in_a_framework_that_it_lacks_is_an_error():
    with pytest.raises(CompositionError, match="mine has no jax version; it has torch"):
        composition.load(changed("framework", "torch"), "jax", defaults=True)


def test_only_what_an_entry_needs_is_defined():
    plain = composition.load(SOUND, "torch", defaults=True)
    assert not hasattr(plain, "prepare_for_eval") and not hasattr(plain, "init_model_params")
    other = {"name": "other", "optimizer": "schedule_free_adamw", "initializer": "orthogonal", "track": "open"}
    averaging = composition.load(other, "torch", defaults=True)
    assert hasattr(averaging, "prepare_for_eval") and hasattr(averaging, "init_model_params")


def test_the_source_digest_depends_on_the_components(tmp_path, monkeypatch):
    digest = composition.source_digest(SOUND)
    assert digest == composition.source_digest(SOUND)
    assert digest != composition.source_digest(changed("schedule", "constant"))


scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["$a", "$b", "adamw", "lsuv", ""])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(0, 3), inner, max_size=3)
    ),
)
component_keys = st.sampled_from(["name", "learning_rate", "one_minus_beta1", "beta1", "horizon", "momentum", "gain"])


@given(
    st.fixed_dictionaries(
        {},
        optional={key: anything | st.dictionaries(component_keys, anything, max_size=4) for key in [*SOUND, "unknown"]},
    )
)
def test_whatever_is_written_the_problems_are_listed_and_never_an_exception(data):
    for problem in composition.problems(data):
        assert isinstance(problem, Problem) and problem.message
        node = data
        for key in problem.path[:-1]:
            node = node[key]


placeholders = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(0.01, 0.99), min_size=1, max_size=3)


@given(
    values=placeholders, use=st.lists(st.sampled_from(["a", "b", "c"]), min_size=4, max_size=4), as_points=st.booleans()
)
def test_a_composition_without_problems_resolves_at_every_point(values, use, as_points):
    keys = ("learning_rate", "one_minus_beta1", "beta2", "weight_decay")
    space = [values] if as_points else {name: {"feasible_points": [value]} for name, value in values.items()}
    data = {
        "name": "generated",
        "optimizer": {"name": "adamw", **{key: f"${name}" for key, name in zip(keys, use, strict=True)}},
        "search_space": space,
    }
    undefined, unused = set(use) - set(values), set(values) - set(use)
    found = composition.problems(data)
    assert {problem.path[-1] for problem in found if problem.path[0] == "search_space"} == unused
    assert len([p for p in found if p.path[0] == "optimizer"]) == sum(name in undefined for name in use)
    if not found:
        settings = composition.plan(data, point(**values), 10, defaults=False).settings["optimizer"]
        assert settings["learning_rate"] == values[use[0]]
        assert settings["beta1"] == 1 - values[use[1]]
