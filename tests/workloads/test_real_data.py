"""What all readers of real data share: problems with remedies, sizes, folders that appear whole, lazy examples."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads import real_data
from workloads.cache import new_folder
from workloads.real_data import DataSource, Problem, checksum, file_problems, lazily


def test_every_reader_says_what_it_reads_and_finds_problems_in_an_empty_folder(name, tmp_path):
    reader = real_data.reader_of(name)
    if reader is None:
        pytest.skip(f"the real data of {name} cannot be read yet")
    source = reader.SOURCE
    assert isinstance(source, DataSource)
    assert all([source.summary, source.origin, source.terms, source.size, *source.expected])
    problems = reader.check(tmp_path)
    assert problems and all(problem.what and problem.remedy for problem in problems)
    assert all(problem.file.is_relative_to(tmp_path) for problem in problems)


def test_full_scale_without_data_says_what_is_missing_and_where_to_read_more(workload_class, name, tmp_path):
    for data_dir in (tmp_path / "absent", tmp_path):
        with pytest.raises(WorkloadError) as caught:
            workload_class(name)("base", "full", data_dir).load_split("validation")
        assert f"{name} at full scale lacks its data" in str(caught.value)
        assert str(real_data.data_folder(name, data_dir)) in str(caught.value)
        assert f"timetrial data status {name}" in str(caught.value)


def test_a_problem_names_file_line_and_remedy():
    assert str(Problem(Path("a.csv"), "is empty", "get it again", line=3)) == "a.csv:3: is empty; get it again"
    assert str(Problem(Path("a.csv"), "is missing", "get it")) == "a.csv: is missing; get it"


def test_files_are_judged_by_their_size(tmp_path):
    path = tmp_path / "x"
    assert [p.what for p in file_problems(path, "")] == ["is missing"]
    path.write_bytes(b"12345")
    assert file_problems(path, "") == file_problems(path, "", exactly=5) == file_problems(path, "", at_least=5) == []
    assert [p.what for p in file_problems(path, "", at_least=6)] == ["has 5 bytes, at least 6 are expected"]
    assert [p.what for p in file_problems(path, "", exactly=4)] == ["has 5 bytes instead of 4"]
    path.write_bytes(b"")
    assert file_problems(path, "") and file_problems(tmp_path, "")


def test_checksum_is_of_the_whole_content(tmp_path):
    path, content = tmp_path / "x", os.urandom(3_000_001)
    path.write_bytes(content)
    assert checksum(path) == hashlib.sha256(content).hexdigest()
    assert checksum(path, "md5") == hashlib.md5(content).hexdigest()


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "made"
    with pytest.raises(RuntimeError), new_folder(target) as temporary:
        (temporary / "half").write_text("")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with new_folder(target) as temporary:
        (temporary / "whole").write_text("1")
        assert not target.exists()
    with new_folder(target) as temporary:  # too late: the first stays
        (temporary / "whole").write_text("2")
    assert [path.name for path in target.parent.iterdir()] == ["made"]
    assert (target / "whole").read_text() == "1"


def test_lazy_examples_are_read_once_per_batch_and_sliced_without_reading():
    numbers, reads = np.arange(100), []

    def fetch(positions):
        reads.append(list(positions))
        return {"inputs": numbers[positions], "targets": -numbers[positions]}

    arrays = lazily(100, ("inputs", "targets"), fetch)
    index = np.array([7, 3, 7])
    assert arrays["inputs"][index].tolist() == [7, 3, 7]
    assert arrays["targets"][index].tolist() == [-7, -3, -7]
    assert reads == [[7, 3, 7]]
    part = arrays["inputs"][10:20][2:]
    assert len(part) == 8 and reads == [[7, 3, 7]]
    assert part[np.array([0, 7])].tolist() == [12, 19]
    for wrong in ([8], [-1]):
        with pytest.raises(IndexError, match=re.escape("not all among 8 examples")):
            part[np.array(wrong)]
