"""``timetrial data``: what is there, what is missing, how to mend it; and the exit codes."""

from __future__ import annotations

import dataclasses
import gzip
import json
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.datasets import all_data_status, data_status, prepare_data
from harness.spec import WorkloadError
from harness.workloads import workload_names
from workloads import real_data
from workloads.mnist.workload import WORKLOAD


def invoke(*arguments):
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture
def real(tmp_path, monkeypatch):
    """Six digits where the full scale of mnist expects them."""
    splits = {"train": 4, "eval_train": 2, "validation": 2, "test": 6}
    monkeypatch.setitem(WORKLOAD.settings, "full", dataclasses.replace(WORKLOAD.settings["full"], splits=splits))
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in ("train", "t10k"):
        images, labels = np.zeros((6, 28, 28), np.uint8), np.arange(6, dtype=np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
            (folder / name).write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_what_is_complete_is_ready(real):
    result = invoke("status", "mnist", "--data-dir", real)
    assert result.exit_code == 0
    assert result.stdout.startswith("mnist: ready at full scale")
    assert json.loads(invoke("status", "mnist_relu", "--data-dir", real, "--json").stdout)["ready"]
    assert data_status("mnist", real).ready


def test_what_is_missing_is_told_with_source_terms_place_and_remedy(real):
    gone = real / "mnist" / "t10k-labels-idx1-ubyte.gz"
    gone.unlink()
    result = invoke("status", "mnist", "--data-dir", real)
    assert result.exit_code == 2
    source = real_data.reader_of("mnist").SOURCE
    for told in (source.origin, source.terms, source.size, *source.expected, str(real / "mnist"),
                 "t10k-labels-idx1-ubyte: is missing; download this file of MNIST again"):  # fmt: skip
        assert told in result.stdout
    found = json.loads(invoke("status", "mnist", "--data-dir", real, "--json").stdout)
    assert not found["ready"]
    assert [problem["what"] for problem in found["problems"]] == ["is missing"]
    assert found["source"]["terms"] == source.terms


def test_the_text_lists_the_first_problems_and_json_all(tmp_path):
    (tmp_path / "criteo1tb").mkdir()
    text = invoke("status", "criteo1tb", "--data-dir", tmp_path).stdout
    assert text.count("  problem   ") == 10 and "and 14 more; --json lists all" in text
    assert len(json.loads(invoke("status", "criteo1tb", "--data-dir", tmp_path, "--json").stdout)["problems"]) == 24


def test_a_damaged_file_found_while_counting_is_a_problem_and_no_crash(real):
    (real / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"<html>")
    result = invoke("status", "mnist", "--data-dir", real)
    assert result.exit_code == 2
    assert "train-images-idx3-ubyte.gz: not a whole gzip file" in result.stdout


def test_damage_inside_a_file_is_found_by_reading_it(real):
    assert invoke("status", "mnist", "--data-dir", real, "--read").exit_code == 0
    labels = bytes([0, 0, 8, 1]) + struct.pack(">i", 6) + bytes([0, 1, 2, 3, 4, 77])
    (real / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    assert invoke("status", "mnist", "--data-dir", real).exit_code == 0
    result = invoke("status", "mnist", "--data-dir", real, "--read")
    assert result.exit_code == 2
    assert "t10k-labels-idx1-ubyte.gz: label 5 is 77, no digit; download this file of MNIST again" in result.stdout
    assert result.stderr.splitlines()[-1] == "reading the split test of mnist"
    assert invoke("status", "--read").exit_code == 2


def test_another_number_of_examples_is_a_problem(real, monkeypatch):
    splits = {**WORKLOAD.settings["full"].splits, "test": 7}
    monkeypatch.setitem(WORKLOAD.settings, "full", dataclasses.replace(WORKLOAD.settings["full"], splits=splits))
    assert "the split test has 6 examples instead of 7" in invoke("status", "mnist", "--data-dir", real).stdout


def test_without_a_name_every_workload_is_listed_and_nothing_fails(tmp_path):
    result = invoke("status", "--data-dir", tmp_path)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(workload_names())
    assert "not ready: mnist: there is no such folder" in result.stdout
    assert not any(status.ready for status in all_data_status(tmp_path))
    assert len(json.loads(invoke("status", "--data-dir", tmp_path, "--json").stdout)) == len(workload_names())


def test_the_mini_scale_is_said_to_need_nothing(real):
    assert "mini      needs no data; it will be generated in" in invoke("status", "mnist", "--data-dir", real).stdout
    WORKLOAD("base", "mini", real).load_split("train")
    status = data_status("mnist", real)
    assert "it has been generated in" in status.mini and status.ready
    next(WORKLOAD("base", "mini", real).cache.folder.glob("*.npy")).unlink()
    assert "delete that folder, and it will be generated again" in data_status("mnist", real).mini


def test_prepare_of_what_needs_no_conversion_says_what_is_there(real):
    result = invoke("prepare", "mnist", "--data-dir", real)
    assert result.exit_code == 0 and "mnist: ready" in result.stdout


def test_prepare_converts_by_the_reader_and_reports_on_standard_error(real, monkeypatch):
    reader = real_data.reader_of("mnist")
    calls = []

    def prepare(folder):
        real_data.log.info("converting")
        calls.append(folder)

    monkeypatch.setattr(reader, "prepare", prepare, raising=False)
    result = invoke("prepare", "mnist", "--data-dir", real, "--json")
    assert result.exit_code == 0 and calls == [real / "mnist"]
    assert json.loads(result.stdout)["needs_preparation"]
    assert result.stderr == "converting\n"
    with pytest.raises(WorkloadError, match="there is no folder .*mnist; put MNIST"):
        prepare_data("mnist", real / "elsewhere")
    assert invoke("prepare", "mnist", "--data-dir", real / "elsewhere").exit_code == 2


def test_what_has_no_reader_yet_is_said_so(real, monkeypatch):
    monkeypatch.setattr(real_data, "reader_of", lambda name: None)
    result = invoke("status", "mnist", "--data-dir", real)
    assert result.exit_code == 2 and "cannot be read yet" in result.stdout
    result = invoke("prepare", "mnist")
    assert result.exit_code == 2 and "the scale mini needs none" in result.stderr


def test_an_unknown_name_is_refused():
    result = invoke("status", "mnits")
    assert result.exit_code == 2 and "did you mean 'mnist'?" in result.stderr


def test_a_run_without_its_data_says_so_for_all_workloads_before_anything_is_run(tmp_path):
    arguments = ["run", "-s", "adamw_linear", "-w", "mnist", "-w", "ogbg", "--scale", "full", "--framework", "torch"]
    places = ["--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, *places])
    assert result.exit_code == 2
    for name in ("mnist", "ogbg"):
        assert f"{name} at full scale lacks its data" in result.stderr
        assert f"timetrial data status {name}" in result.stderr
