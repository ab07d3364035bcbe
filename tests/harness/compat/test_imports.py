"""An entry's files find each other and their packages, under whatever names; what is missing is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.compat import environment
from harness.entry import InvalidSubmissionError, find_entry, load_functions
from harness.errors import UsageError

FUNCTIONS = """
def get_batch_size(workload_name):
    raise ValueError(workload_name)

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {}

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    return optimizer_state, current_param_container, model_state
"""


@pytest.fixture
def entry(tmp_path):
    """Writes files of an entry, ``submission.py`` with AlgoPerf's functions below what is given; returns its folder."""

    def write(files: dict[str, str], name: str = "mine") -> Path:
        folder = tmp_path / "team" / name
        for path, text in {"submission.py": "", **files}.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + (f"import torch\n{FUNCTIONS}" if path == "submission.py" else ""))
        return folder

    return write


def load(path):
    return load_functions(find_entry(str(path)), "torch", defaults=True)


@pytest.mark.parametrize(
    "statement",
    [
        "from .optimizers.rule import VALUE",
        "from optimizers.rule import VALUE",
        "from mine.optimizers.rule import VALUE",
        "from submissions.team_7.external_tuning.mine.optimizers.rule import VALUE",
        "from submissions_algorithms.leaderboard.other_name.optimizers.rule import VALUE",
        "from algorithms.archived.mine import helper\nVALUE = helper.VALUE",
        "import submissions.x.mine.optimizers.rule as rule\nVALUE = rule.VALUE",
        "import importlib\nVALUE = importlib.import_module('optimizers.rule').VALUE",
        "import os, sys\nsys.path.append(os.path.dirname(__file__))\nfrom helper import VALUE",
    ],
)
def test_the_entrys_own_files_are_found_under_any_name(entry, statement):
    folder = entry(
        {
            "submission.py": f"{statement}\n",
            "optimizers/rule.py": "VALUE = 41\n",
            "helper.py": "from optimizers.rule import VALUE\n",
            "__init__.py": "",
        }
    )
    assert load(folder).VALUE == 41


def test_one_file_is_one_module_however_it_is_imported(entry):
    folder = entry(
        {
            "submission.py": (
                "from optimizers.deep.types_of_ours import Config as A\n"
                "from types_of_ours import Config as B\n"
                "from submissions_algorithms.leaderboard.elsewhere.optimizers.deep.types_of_ours import Config as C\n"
                "from .optimizers.deep.types_of_ours import Config as D\n"
                "import utils.deeper as E\n"
            ),
            "optimizers/deep/types_of_ours.py": "import utils.deeper\nclass Config: pass\n",
            "optimizers/deep/utils/deeper.py": "import types_of_ours\nConfig = types_of_ours\n",
        }
    )
    functions = load(folder)
    assert functions.A is functions.B is functions.C is functions.D
    assert functions.E.Config.Config is functions.A


def test_relative_imports_may_reach_above_the_entrys_folder(entry, tmp_path):
    folder = entry({"submission.py": "from ..shared.rule import VALUE\n"})
    (tmp_path / "team" / "shared").mkdir()
    (tmp_path / "team" / "shared" / "rule.py").write_text("VALUE = 42\n")
    assert load(folder).VALUE == 42


def test_another_entry_of_the_same_repository_can_be_imported(entry):
    entry({"rule.py": "VALUE = 43\n"}, name="theirs")
    folder = entry({"submission.py": "from submissions.team.theirs.rule import VALUE\n"})
    assert load(folder).VALUE == 43


def test_a_single_file_imports_its_siblings_and_changes_with_them(entry):
    folder = entry({"parts.py": f"import torch\n{FUNCTIONS}", "alone.py": "from algorithms.x.parts import *\n"})
    (folder / "alone.py").write_text(f"from algorithms.setting.parts import data_selection\nimport torch\n{FUNCTIONS}")
    before = find_entry(str(folder / "alone.py"))
    assert callable(load(folder / "alone.py").data_selection)
    (folder / "parts.py").write_text(f"import torch\n{FUNCTIONS}# changed\n")
    assert find_entry(str(folder / "alone.py")).digest != before.digest


def test_a_module_named_like_one_of_timetrials_is_the_entrys_own(entry):
    import results

    folder = entry({"submission.py": "import results\nVALUE = results.VALUE\n", "results.py": "VALUE = 44\n"})
    assert load(folder).VALUE == 44
    assert sys.modules["results"] is results


def test_nothing_of_an_entry_stays_after_it_is_closed(entry):
    import submissions

    statement = "from submissions.team.mine.rule import VALUE\nimport algoperf, rule\n"
    folder = entry({"submission.py": statement, "rule.py": "VALUE = 1\n"})
    before = (list(sys.meta_path), list(sys.path))
    load(folder)
    environment.close()
    assert (list(sys.meta_path), list(sys.path)) == before
    assert not [name for name in sys.modules if name.startswith(("timetrial_entry", "algoperf", "submissions.team"))]
    assert "rule" not in sys.modules
    assert not hasattr(submissions, "team")
    assert not list(folder.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"submission.py": "import numpy\nimport haiku as hk\nx = hk\n"},
            r"submission\.py:2: needs haiku, which is not installed; run: pip install dm-haiku$",
        ),
        (
            {"submission.py": "from .helper import x\n", "helper.py": "\nfrom no_such_one.part import x\n"},
            r"helper\.py:2: needs no_such_one, .* pip install no_such_one$",
        ),
        (
            {
                "submission.py": "import learned_things\nlearned_things.x\n",
                "requirements.txt": "# ours\nnumpy\n-e git+https://example.org/x.git@12ab#egg=learned_things\n",
            },
            r"pip install git\+https://example\.org/x\.git@12ab#egg=learned_things",
        ),
        (
            {"submission.py": "import no_such_one\nno_such_one.x\n", "requirements.txt": "no-such_one >= 0.3  # it\n"},
            r"run: pip install 'no-such_one >= 0.3'",
        ),
        ({"submission.py": "import helper\n", "helper.py": "x = 1\ndef f(:\n"}, r"helper\.py:2: not Python: invalid"),
    ],
)
def test_what_is_missing_or_broken_is_named_before_anything_runs(entry, files, message):
    with pytest.raises(UsageError, match=message):
        find_entry(str(entry(files)))


@pytest.mark.parametrize(
    "statement",
    [
        "import importlib\nVALUE = importlib.import_module('{}').VALUE",
        "import importlib as library\nVALUE = library.import_module('{}').VALUE",
        "from importlib import import_module as load\nVALUE = load('.{}', __package__).VALUE",
        "import importlib\ndef get():\n    return importlib.import_module('{}')\nVALUE = get().VALUE",
    ],
)
def test_a_file_that_is_imported_by_a_function_with_its_name_is_the_entrys_too(entry, statement):
    folder = entry({"submission.py": statement.format("optimizers.rule") + "\n", "optimizers/rule.py": "VALUE = 41\n"})
    before = find_entry(str(folder))
    assert load(folder).VALUE == 41
    (folder / "optimizers" / "rule.py").write_text("VALUE = 42\n")
    assert find_entry(str(folder)).digest != before.digest


def test_a_package_that_a_function_imports_by_its_name_is_missed_before_anything_runs(entry):
    folder = entry({"submission.py": "import importlib\nimportlib.import_module('haiku')\n"})
    with pytest.raises(UsageError, match=r"submission\.py:2: .*haiku.* run: pip install dm-haiku"):
        find_entry(str(folder))


def test_a_missing_package_found_only_while_running_is_named_too(entry):
    folder = entry({"submission.py": "import importlib\nimportlib.import_module('hai' + 'ku')\n"})
    with pytest.raises(InvalidSubmissionError, match=r"submission\.py:2: needs haiku, .* run: pip install dm-haiku"):
        load(folder)


@pytest.mark.parametrize("statement", ["from algoperf import checkpoint_utils", "import algoperf.checkpoint_utils"])
def test_a_module_of_algoperfs_that_there_is_not_is_named(entry, statement):
    with pytest.raises(InvalidSubmissionError, match=r"submission\.py:1: .*checkpoint_utils"):
        load(entry({"submission.py": f"{statement}\n"}))


def test_a_package_that_is_imported_for_nothing_may_be_missing(entry):
    folder = entry({"submission.py": "import no_such_one\nfrom no_such_two import thing\nVALUE = 1\n"})
    assert load(folder).VALUE == 1
    assert find_entry(str(folder)).conventions.describe()[-1] == "empty modules for no_such_one, no_such_two"


def test_an_optional_import_may_fail(entry):
    source = "try:\n    import no_such_one\n    HAVE = no_such_one\nexcept ImportError:\n    HAVE = 0\n"
    assert load(entry({"submission.py": source})).HAVE == 0


def test_the_real_package_is_used_when_it_is_asked_for(entry, tmp_path, monkeypatch):
    real = tmp_path / "site" / "algoperf"
    real.mkdir(parents=True)
    (real / "__init__.py").write_text("")
    (real / "spec.py").write_text("import enum\nclass ForwardPassMode(enum.Enum):\n    TRAIN = 0\nREAL = True\n")
    asked = {"submission_info.yml": "timetrial: {algoperf: real}\n"}
    folder = entry({"submission.py": "from algoperf import spec\n", **asked})
    with pytest.raises(InvalidSubmissionError, match="asks for the real algoperf, which cannot be imported"):
        load(folder)
    monkeypatch.syspath_prepend(str(real.parent))
    from harness.spec import ForwardPassMode

    found = load(folder).spec
    assert found.REAL
    assert found.ForwardPassMode is ForwardPassMode
    sys.modules.pop("algoperf.spec")
    sys.modules.pop("algoperf")
