"""What the scripts on clocks compute from records."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import clocks, noise
from results.record import Crossing
from results.store import find_trials, read_evaluations, read_trial, write_trial
from results.synthetic import write_runs

SCRIPT = Path(clocks.__file__)


@pytest.fixture
def record(tmp_path):
    write_runs(tmp_path, {"A": {"u": [[10.0]]}})
    (folder,) = find_trials(tmp_path)
    return read_trial(folder)


def test_the_shares_are_those_of_the_record(record):
    record = dataclasses.replace(
        record,
        segments={"step": 9.0, "evaluate": 0.9},
        wall_sec=10.0,
        watched={"parent_sec": 8.0, "child_sec": 7.9},
        verified={"value": 1.0, "wall_sec": 0.3},
    )
    figures = [figure(record) for figure, _ in clocks.FIGURES.values()]
    assert figures == [pytest.approx(0.01), pytest.approx(0.0125), pytest.approx(0.03)]
    died = dataclasses.replace(record, segments={"unknown": 3.0}, watched={}, verified={})
    assert [figure(died) for figure, _ in clocks.FIGURES.values()] == [None, None, None]


@pytest.mark.parametrize(("child", "code"), [(10.01, 0), (10.2, 1)])
def test_a_figure_above_its_limit_is_an_exit_code(tmp_path, record, child, code):
    changed = dataclasses.replace(record, watched={"parent_sec": 10.0, "child_sec": child})
    (folder,) = find_trials(tmp_path)
    write_trial(tmp_path, changed, read_evaluations(folder))
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--worst", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert f"{abs(child - 10) / 10:.4%} of" in done.stdout


def test_a_folder_without_trials_is_an_error(tmp_path):
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "holds no trials; name a results folder" in done.stderr


def test_the_clocks_of_a_trial_on_a_slow_machine(record):
    usual = dict.fromkeys(noise.KERNELS, 1.0)
    twice_as_slow = {"kernels_before_sec": dict.fromkeys(noise.KERNELS, 2.0), "drift": usual}
    record = dataclasses.replace(record, crossing=Crossing(20.0, 9.0, 100), speed=twice_as_slow)
    found = [clock(record) for clock in noise.clocks(0.1, usual).values()]
    assert found == pytest.approx([20.0, 9.0, 10.0, 10.0])
    with pytest.raises(SystemExit, match="missed its target"):
        noise.clocks(0.1, usual)["wall time"](dataclasses.replace(record, crossing=None))
