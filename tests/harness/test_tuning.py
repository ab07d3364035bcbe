import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from harness.config import ConfigError, Document, load_document
from harness.tuning import Choice, Range, as_namedtuple, parse_search_space, sample


def space_of(tmp_path, data, name="space.json"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
    return parse_search_space(load_document(path))


RANGES = {
    "learning_rate": {"min": 1e-4, "max": 1e-1, "scaling": "log"},
    "momentum": {"min": 0.5, "max": 0.9, "scaling": "linear"},
    "warmup": {"feasible_points": [0.02, 0.05, 0.1]},
}


def test_both_json_forms_and_yaml_are_read(tmp_path):
    space = space_of(tmp_path, RANGES)
    assert space.names == ("learning_rate", "momentum", "warmup")
    assert space.dimensions["learning_rate"] == Range(1e-4, 1e-1, log=True)
    assert space.dimensions["warmup"] == Choice((0.02, 0.05, 0.1))
    points = space_of(tmp_path, [{"lr": 0.1, "nesterov": True}, {"lr": 0.2, "nesterov": False}])
    assert sample(points, 1, seed=0) == [{"lr": 0.1, "nesterov": True}]
    assert len(sample(points, 5, seed=0)) == 2
    yaml = space_of(tmp_path, "learning_rate: {min: 1e-4, max: 1e-1, scaling: log}\n", "space.yaml")
    assert yaml.dimensions["learning_rate"] == space.dimensions["learning_rate"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lr": {"min": 1.0, "max": 0.1}}, r"space\.json:2: lr: min \(1\) is greater than max \(0\.1\)"),
        ({"lr": {"min": 0, "max": 1, "scaling": "log"}}, r"lr: a log scale needs min > 0, found 0"),
        ({"lr": {"min": -1, "max": 1, "scaling": "log"}}, r"lr: a log scale needs min > 0"),
        ({"lr": {"min": 0, "max": 1, "scaling": "cubic"}}, r"space\.json:5: lr\.scaling: expected 'linear' or 'log'"),
        ({"lr": {"min": 0}}, r"lr\.max: is missing; a range has min and max"),
        ({"lr": {"min": "a", "max": 1}}, r"lr\.min: expected a finite number, found 'a'"),
        ({"lr": {"min": 0, "max": 1, "scale": "log"}}, r"lr\.scale: unknown key; did you mean 'scaling'"),
        ({"lr": {"feasible_points": []}}, r"lr\.feasible_points: expected a non-empty list"),
        ({"lr": 3}, r"lr: expected \{min, max, scaling\}"),
        ({}, r"non-empty"),
        ([], r"empty"),
        ([{"lr": 1}, {"lr": 2, "wd": 0}], r"1: every point needs the same keys as the first; they differ in wd"),
        ([{"lr": 1}, 3], r"a point is a mapping"),
    ],
)
def test_bad_spaces_are_refused_by_name(tmp_path, data, message):
    with pytest.raises(ConfigError, match=message):
        space_of(tmp_path, data)


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_samples_lie_in_their_ranges_and_depend_on_the_seed_only(seed, count):
    document = Document("space", RANGES, {})
    space = parse_search_space(document)
    points = sample(space, count, seed)
    assert len(points) == count and points == sample(space, count, seed)
    for point in points:
        assert 1e-4 <= point["learning_rate"] <= 1e-1
        assert 0.5 <= point["momentum"] <= 0.9
        assert point["warmup"] in (0.02, 0.05, 0.1)
    assert points != sample(space, count, seed + 1)


def test_sampling_is_low_discrepancy(tmp_path):
    document = Document("space", {n: {"min": 0, "max": 1} for n in "abc"}, {})
    points = [list(p.values()) for p in sample(parse_search_space(document), 50, 0)]
    iid = [[math.modf(math.sin(i * 78.233 + j) * 43758.5453)[0] % 1 for j in range(3)] for i in range(50)]
    assert qmc.discrepancy(points) < 0.5 * qmc.discrepancy(iid)


def test_hyperparameters_are_a_namedtuple_without_unknown_names():
    point = as_namedtuple({"learning_rate": 0.1})
    assert point.learning_rate == 0.1 and point._asdict() == {"learning_rate": 0.1}
    assert not hasattr(point, "weight_decay")
    assert as_namedtuple(None) is None
