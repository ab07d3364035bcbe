import dataclasses
import itertools

import pytest

from results.record import STEPS, TrialKey
from results.synthetic import evaluations, record
from scoring.errors import ScoringError
from scoring.timeline import draw_timeline, parts

KEY = TrialKey("entry", "mnist", "torch", 1, 1)
TIMELINE = (
    {STEPS: 0, "setup": 1.0, "initialise": 0.5},
    {STEPS: 10, "setup": 1.0, "initialise": 0.5, "compile": 2.0, "step": 3.0, "evaluate": 1.0, "novel": 0.25},
    {STEPS: 20, "setup": 1.0, "initialise": 0.5, "compile": 2.0, "step": 6.0, "evaluate": 2.0, "novel": 0.25},
)


def with_timeline(timeline):
    return dataclasses.replace(record(KEY, evaluations(3.0)), timeline=timeline)


def test_parts_follow_each_other_without_gaps_and_hold_what_was_spent_in_them():
    found = dict(parts(TIMELINE))
    assert found["to step 0"] == [("setup", 0.0, 1.0), ("initialise", 1.0, 0.5)]
    assert [(name, took) for name, _, took in found["to step 10"]] == [
        ("compile", 2.0), ("step", 3.0), ("evaluate", 1.0), ("novel", 0.25),
    ]  # fmt: skip
    bars = [bar for of_part in found.values() for bar in of_part]
    for (_, start, took), (_, following, _) in itertools.pairwise(bars):
        assert following == pytest.approx(start + took)
    assert sum(took for _, _, took in bars) == pytest.approx(1.5 + 6.25 + 4.0)


@pytest.mark.parametrize("ending, start", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_picture_is_written_in_the_format_of_its_name(tmp_path, ending, start):
    path = tmp_path / "new" / "folder" / f"picture.{ending}"
    draw_timeline(with_timeline(TIMELINE), path)
    assert path.read_bytes().startswith(start)


def test_a_record_without_a_timeline_is_told(tmp_path):
    with pytest.raises(ScoringError, match="has no timeline: it was recorded before"):
        draw_timeline(with_timeline(()), tmp_path / "picture.svg")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("picture.bmp", r"bmp: a timeline is drawn as \.svg, \.png, \.pdf"),
        ("file/x.svg", r"cannot write .*x\.svg"),
    ],
)
def test_a_path_that_cannot_be_drawn_to_is_told(tmp_path, name, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(ScoringError, match=message):
        draw_timeline(with_timeline(TIMELINE), tmp_path / name)
