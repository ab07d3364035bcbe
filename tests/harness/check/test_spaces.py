"""One search space for all workloads, of which every hyperparameter has one form."""

import json

import pytest

from harness.check import check
from harness.check.rules_entry import search_space_files

SPACE = "tuning_search_space.json"
RANGE = {"min": 0.1, "max": 1}


@pytest.mark.parametrize(
    ("name", "space"),
    [
        (SPACE, {"mnist_learning_rate": RANGE}),
        (SPACE, {"MNIST": {"learning_rate": RANGE}}),
        (SPACE, [{"workload": "mnist", "learning_rate": 0.1}, {"workload": "wmt", "learning_rate": 0.2}]),
        ("mnist/tuning_search_space.json", {"learning_rate": RANGE}),
        ("search_spaces/wmt.yaml", {"learning_rate": RANGE}),
    ],
)
def test_a_space_for_single_workloads_is_found(name, space, tmp_path):
    assert {finding.rule for finding in findings(tmp_path, name, space)} == {"search-space-per-workload"}


def test_a_hyperparameter_has_a_range_or_points(tmp_path):
    (found,) = findings(tmp_path, SPACE, {"beta": {"feasible_points": [1]}, "rate": {**RANGE, "feasible_points": [3]}})
    assert (found.rule, found.message) == ("search-space", "rate has feasible_points and a range: keep one")


@pytest.mark.parametrize(
    ("name", "space"),
    [
        (SPACE, {"cosine_commitments": RANGE, "wmtx": {"feasible_points": ["task", "fast"]}}),
        (SPACE, [{"task_weight": 0.1, "workload": 3}]),
        ("tuning_search_space_no_beta1.json", {"rate": RANGE}),
        ("data/mnist.json", {"rate": RANGE}),
    ],
)
def test_other_names_and_files_are_fine(name, space, tmp_path):
    assert findings(tmp_path, name, space) == []


def findings(folder, name, space):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(space))
    return list(search_space_files(folder))


RATE_OF = "def rate_of(hyperparameters):\n    return hyperparameters.final_rate"


@pytest.mark.parametrize(
    ("reads", "lines"),
    [
        ("hyperparameters.learning_rate", 0),
        ("hyperparameters.final_rate", 1),
        ("given = hyperparameters; given.final_rate", 1),
        ("getattr(hyperparameters, 'final_rate')", 1),
        ("getattr(hyperparameters, 'final_rate', 0.1)", 0),
        ("hasattr(hyperparameters, 'final_rate') and hyperparameters.final_rate", 0),
        ("'final_rate' in hyperparameters._fields and hyperparameters.final_rate", 0),
        ("hyperparameters._asdict()", 0),
        ("hyperparameters._asdict()['final_rate']", 1),
        ("hyperparameters._asdict()['learning_rate']", 0),
        ("'final_rate' in hyperparameters._fields and hyperparameters._asdict()['final_rate']", 0),
        ("asdict = hyperparameters._asdict()\n    asdict['final_rate']", 1),
        ("asdict = hyperparameters._asdict()\n    asdict = {}\n    asdict['final_rate']", 0),
        ("import operator; operator.attrgetter('final_rate')(hyperparameters)", 1),
        ("import operator; late = operator.attrgetter('final_rate')\n    late(hyperparameters)", 1),
        ("import operator; operator.attrgetter('final_rate')(settings)", 0),
        ("hyperparameters = Config(**hyperparameters._asdict()); rate_of(hyperparameters)", 0),
        ("hyperparameters = Config(**hyperparameters._asdict())\n    rate = hyperparameters.final_rate", 0),
        ("rate = hyperparameters.final_rate\n    hyperparameters = Config(rate)", 1),
        ("given = hyperparameters\n    given = Config(given)\n    other = given\n    other.final_rate", 0),
    ],
)
def test_a_hyperparameter_that_is_read_is_in_the_search_space(reads, lines, edited):
    lines_read = ["if global_step > 200:", *(f"    {line.strip()}" for line in reads.splitlines())]
    top = RATE_OF if "rate_of" in reads else "import json"
    found = check(str(edited({"top": top, "end": lines_read})), run=False).findings
    assert [finding.rule for finding in found] == ["missing-hyperparameter"] * lines
    assert all("reads hyperparameters.final_rate; the search space has beta2, " in f.message for f in found)
