"""Components are found by scanning folders, declare what they are, and cost nothing to list."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from submissions import components

ALL = [(kind, name) for kind in components.KINDS for name in components.names(kind)]


def test_every_component_of_the_first_field_is_there():
    assert set(components.names("optimizer")) >= {
        "adamw", "lion", "muon", "nadamw", "schedule_free_adamw", "sgd_nesterov"
    }  # fmt: skip
    assert set(components.names("schedule")) >= {
        "constant", "inverse_sqrt", "warmup_cosine", "warmup_linear", "warmup_stable_decay"
    }  # fmt: skip
    assert set(components.names("initializer")) >= {"default", "lsuv", "orthogonal"}


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_component_declares_summary_and_sound_defaults(kind, name):
    component = components.load(kind, name)
    assert component.summary.endswith(".")
    assert component.frameworks
    for key, value in component.defaults.items():
        assert components.setting_problem(key, value, value, component.bounds) is None
    assert kind != "optimizer" or "learning_rate" in component.defaults
    assert set(component.needs) <= set(components.CAPABILITIES)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_component_functions_take_exactly_its_hyperparameters(kind, name):
    component = components.load(kind, name)
    given = {
        "optimizer": ("parameters",),
        "schedule": ("step", "total_steps"),
        "initializer": ("values", "parameters", "rng", "layer_outputs"),
        "averaging": ("xp", "state", "values", "step", "total_steps"),
    }[kind]
    functions = {"schedule": ("multiplier",), "initializer": ("initialize",), "averaging": ("update",)}.get(
        kind, component.frameworks
    )
    for function in functions:
        arguments = inspect.signature(getattr(component.module, function)).parameters
        assert tuple(arguments) == (*given, *component.defaults)


def test_listing_components_and_checking_compositions_imports_no_framework():
    code = (
        "import sys; from submissions import components, composition\n"
        "[components.load(k, n) for k in components.KINDS for n in components.names(k)]\n"
        "assert not composition.problems({'name': 'a', 'optimizer': 'muon', 'initializer': 'lsuv', 'track': 'open'})\n"
        "print(sorted({'torch', 'jax', 'optax', 'schedulefree', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_component_is_answered_with_the_nearest_name():
    with pytest.raises(components.UnknownComponentError) as caught:
        components.load("optimizer", "adamv")
    assert str(caught.value).startswith("unknown optimizer 'adamv'; did you mean 'adamw'? known: ")


def test_a_new_file_is_a_new_component_and_a_leading_underscore_hides_one(tmp_path, monkeypatch):
    folder = tmp_path / "schedules"
    folder.mkdir()
    for name in ("sawtooth", "_parts", "__init__"):
        (folder / f"{name}.py").write_text("")
    monkeypatch.setattr(components, "_ROOT", tmp_path)
    assert components.names("schedule") == ("sawtooth",)


@pytest.mark.parametrize(
    ("key", "value", "default", "message"),
    [
        ("learning_rate", 0.0, 0.1, "0.0 lies outside (0, inf)"),
        ("learning_rate", "1e-4", 0.1, "expected a finite number, found '1e-4'"),
        ("learning_rate", float("nan"), 0.1, "expected a finite number, found nan"),
        ("weight_decay", True, 0.1, "expected a finite number, found True"),
        ("beta1", 1.0, 0.9, "1.0 lies outside [0, 1)"),
        ("one_minus_beta1", 0.0, 0.9, "1 - 0.0 = 1.0 lies outside [0, 1)"),
        ("one_minus_beta1", "small", 0.9, "expected a finite number, found 'small'"),
        ("warmup_fraction", 1.5, 0.1, "1.5 lies outside [0, 1]"),
        ("max_iterations", 2.5, 10, "expected a whole number, found 2.5"),
        ("anything", 1, True, "expected true or false, found 1"),
        ("anything", 1, "text", "expected text, found 1"),
    ],
)
def test_bad_values_are_named(key, value, default, message):
    assert components.setting_problem(key, value, default, components.BOUNDS) == message
