import json
import sys

import pytest

from harness.compat.sources import read_sources
from harness.entry import InvalidSubmissionError, find_entry, load_functions
from harness.entry_imports import import_libraries
from harness.errors import UsageError


def test_an_entry_is_found_by_name_by_path_and_by_file(write_entry):
    assert find_entry("template_torch").kind == "module"
    folder = write_entry("mine")
    by_folder, by_file = find_entry(str(folder)), find_entry(str(folder / "submission.py"))
    assert by_folder == by_file
    assert (by_folder.name, by_folder.frameworks, by_folder.rulesets) == ("mine", ("torch",), ("self_tuning",))


def test_a_single_file_is_an_entry_of_its_own_name(write_entry, tmp_path):
    source = (write_entry("x", "jax") / "submission.py").read_text()
    path = tmp_path / "lonely.py"
    path.write_text(source)
    assert find_entry(str(path)).name == "lonely"
    assert find_entry(str(path)).frameworks == ("jax",)


def test_a_search_space_beside_it_makes_an_external_entry(write_entry, tmp_path):
    folder = write_entry("tuned")
    (folder / "tuning_search_space.json").write_text('{"learning_rate": {"min": 0.1, "max": 1}}')
    assert find_entry(str(folder)).rulesets == ("external",)
    other = tmp_path / "other.json"
    other.write_text('[{"learning_rate": 0.5}]')
    assert find_entry(str(folder), other).search_space.points == ({"learning_rate": 0.5},)


def test_a_given_search_space_makes_an_external_entry_as_one_beside_it_does(write_entry, tmp_path):
    folder, space = write_entry("tuned"), tmp_path / "space.json"
    space.write_text('[{"learning_rate": 0.5}]')
    assert find_entry(str(folder), space).rulesets == ("external",)
    (folder / "submission_info.yml").write_text("ruleset: self-tuning\n")
    assert find_entry(str(folder), space).rulesets == ("external", "self_tuning")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("template_torc", r"unknown submission 'template_torc'; did you mean 'template_torch'\?"),
        ("./nowhere", "there is no file or folder ./nowhere"),
        ("nothing.yaml", "there is no file or folder nothing.yaml"),
    ],
)
def test_unknown_references_are_refused(reference, message):
    with pytest.raises(UsageError, match=message):
        find_entry(reference)


def test_a_folder_without_submission_and_a_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no submission\.py"):
        find_entry(str(tmp_path))
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match=r"a submission is a \.py file"):
        find_entry(str(tmp_path / "notes.txt"))


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"def data_selection": "def select_data"}, r"submission\.py:1: required function data_selection\(.*missing"),
        ({"def update_params": "def update_param"}, r"is missing; define it, or rename update_param in line"),
        ({"def get_batch_size(workload_name)": "def get_batch_size()"}, r"get_batch_size takes 0 arguments"),
        (
            {"loss_type, optimizer_state, eval_results, global_step, rng)": "optimizer_state, global_step, rng)"},
            r"submission\.py:\d+: update_params has no argument loss_type, eval_results; it is called as update_params",
        ),
        ({"hyperparameters, rng):\n    return {": "hyperparameters, rng, extra):\n    return {"}, "needs extra"),
        ({"def get_batch_size": "def get_batch size"}, r"submission\.py:7: not Python"),
        ({"import torch\n": "import math\n"}, "imports neither torch nor jax"),
        ({"import torch\n": "import torch\nimport jax\n"}, "imports both torch and jax"),
    ],
)
def test_defects_are_found_without_running_the_entry(write_entry, replace, message):
    with pytest.raises(UsageError, match=message):
        find_entry(str(write_entry("bad", replace=replace)))


def test_submission_info_declares_framework_and_ruleset(write_entry):
    folder = write_entry("both", replace={"import torch\n": "import torch\nimport jax\n"})
    (folder / "submission_info.yml").write_text("framework: JAX\nruleset: self-tuning\n")
    (folder / "tuning_search_space.json").write_text(json.dumps([{"a": 1}]))
    entry = find_entry(str(folder))
    assert entry.frameworks == ("jax",)
    assert entry.rulesets == ("external", "self_tuning")
    (folder / "submission_info.yml").write_text("framework: tensorflow\n")
    with pytest.raises(UsageError, match="expected pytorch or jax, found 'tensorflow'"):
        find_entry(str(folder))


def test_the_digest_follows_every_source_file(write_entry):
    folder = write_entry("mine", tail="from .helper import VALUE\n")
    (folder / "helper.py").write_text("VALUE = 1\n")
    before = find_entry(str(folder)).digest
    (folder / "helper.py").write_text("VALUE = 2\n")
    assert find_entry(str(folder)).digest != before


def test_the_digest_follows_every_file_that_an_entry_may_read_and_no_results(write_entry):
    folder = write_entry("a")
    before = find_entry(str(folder)).digest
    (folder / "table.npz").write_bytes(b"1")
    with_table = find_entry(str(folder)).digest
    (folder / "table.npz").write_bytes(b"2")
    assert len({before, with_table, find_entry(str(folder)).digest}) == 3
    (folder / "table.npz").unlink()
    for name in (".note", "__pycache__/a.pyc", "runs/run.json", "runs/a_torch/study_1/trial.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert find_entry(str(folder)).digest == before


def test_relative_imports_work_inside_an_entry(write_entry):
    folder = write_entry("mine", tail="from .helper import VALUE\n")
    (folder / "helper.py").write_text("VALUE = 41\n")
    assert load_functions(find_entry(str(folder)), "torch", defaults=True).VALUE == 41


def test_an_initializer_that_comes_with_a_star_counts_and_one_that_nobody_sees_is_refused(write_entry):
    folder = write_entry("a", tail="from starting import *\n")
    helper = folder / "starting.py"
    helper.write_text(
        "def init_model_params(workload, params, state, hyperparameters, queue, rng):\n    return params, state\n"
    )
    assert find_entry(str(folder)).track == "initializers"
    helper.write_text("globals()['init_' + 'model_params'] = lambda *_: None\n")
    entry = find_entry(str(folder))
    assert entry.track == "algoperf"
    with pytest.raises(InvalidSubmissionError, match="has init_model_params, which the file does not show"):
        load_functions(entry, "torch", defaults=False)


def test_an_entry_with_an_initializer_is_in_the_initializers_track(write_entry):
    tail = """
    def init_model_params(workload, model_params, model_state, hyperparameters, input_queue, rng):
        return model_params, model_state
    """
    assert find_entry(str(write_entry("mine", tail=tail))).track == "initializers"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nframework: torch\noptimizer: adamm\ndefaults: {}\n", r"x\.yaml:3: optimizer.*did you mean 'adamw'"),
        ("name: x\nframework: torch\n", r"x\.yaml:.*optimizer"),
        ("name: a b\nframework: torch\noptimizer: adamw\n", r"x\.yaml:1: name: a name is letters"),
        (
            "name: x\nframework: torch\noptimizer: {name: adamw, learning_rate: $lr}\n"
            "search_space: {lr: {min: 1, max: 0.1}}\n",
            r"x\.yaml:4: search_space\.lr: min \(1\) is greater than max",
        ),
        (
            "name: x\nframework: torch\noptimizer: {name: adamw, learning_rate: $lr}\n"
            "search_space: {rate: {min: 0.1, max: 1}}\n",
            r"x\.yaml:\d+: .*\$?lr",
        ),
        ("- 1\n", "a composition is a mapping"),
    ],
)
def test_bad_compositions_name_file_line_and_key(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_entry(str(path))


def test_a_replaced_search_space_is_completed_from_the_compositions_defaults(tmp_path):
    space = tmp_path / "space.json"
    space.write_text('{"learning_rate": {"min": 0.001, "max": 0.01, "scaling": "log"}}')
    entry = find_entry("nadamw_cosine", space)
    assert entry.search_space.names == ("learning_rate",) and entry.rulesets == ("external", "self_tuning")


LEARNING_RATE = '{"learning_rate": {"min": 0.001, "max": 0.01}}'
BOTH = "search_space: {learning_rate: {min: 0.1, max: 1}, beta2: {min: 0.1, max: 0.9}}"
BETA = "search_space: {beta2: {min: 0.1, max: 0.9}}"


@pytest.mark.parametrize(
    ("own", "text", "message"),
    [
        (BOTH, LEARNING_RATE, r"space\.json: .*own\.yaml:2: optimizer\.beta2: \$beta2 is defined neither"),
        ("defaults: {learning_rate: 1, beta2: 0.9}", '{"lerning_rate": {"min": 1, "max": 2}}', "mean 'learning_rate'"),
        (
            BETA,
            '[{"beta2": 0.9,\n"lerning_rate": 1}]',
            r"json:2: 0\.lerning_rate: .*own\.yaml uses no \$lerning_rate; ",
        ),
        (
            "defaults: {beta2: 0.9}",
            LEARNING_RATE,
            r"json:1: learning_rate: .*own\.yaml uses no \$learning_rate; known: beta2",
        ),
    ],
)
def test_a_replaced_search_space_must_fit_the_composition(tmp_path, own, text, message):
    path, space = tmp_path / "own.yaml", tmp_path / "space.json"
    path.write_text(f"name: own\noptimizer: {{name: adamw, beta2: $beta2}}\n{own}\n")
    space.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_entry(str(path), space)


def test_libraries_are_imported_before_the_entry_and_nothing_of_its_own(write_entry, tmp_path, monkeypatch):
    for name in ("a_library", "another_library"):
        (tmp_path / f"{name}.py").write_text("class Thing: pass\n")
    (tmp_path / "broken_library.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    tail = """
    import broken_library
    import helper
    from a_library import Thing

    def later():
        import another_library
    """
    folder = write_entry("mine", tail=tail)
    (folder / "helper.py").write_text("1 / 0\n")
    import_libraries(read_sources(folder / "submission.py"))
    found = {"a_library", "another_library", "broken_library", "helper"} & set(sys.modules)
    for name in found:
        del sys.modules[name]
    assert found == {"a_library", "another_library"}
