"""What all readers of real data share: problems with remedies, sizes, folders that appear whole, lazy examples."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from harness.datasets import prepare_data
from harness.spec import WorkloadError
from workloads import real_data
from workloads.cache import new_folder
from workloads.mnist.workload import WORKLOAD
from workloads.real_data import DataError, DataSource, Problem, checksum, file_problems, lazily


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


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, ""), r"mnist: .*No space left on device\); free some space there"),
        (OSError(errno.EACCES, "", "/a/b"), r"^/a/b: .*Permission denied\); change its permissions"),
        (OSError(errno.EROFS, "", Path("/a/b")), r"^/a/b: .*Read-only file system\); make it writable"),
        (OSError(errno.EXDEV, "", b"/a/b"), r"^/a/b: .*; see that there is free space"),
        (
            OSError("80 requested and 12 written"),
            r"mnist: .*80 requested and 12 written\); see that there is free space",
        ),
    ],
    ids=str,
)
def test_what_the_file_system_refuses_is_told_with_the_file_and_a_remedy(tmp_path, monkeypatch, error, told):
    def refused(*_):
        raise error

    reader, settings = real_data.reader_of("mnist"), WORKLOAD.settings["full"]
    (tmp_path / "mnist").mkdir()
    monkeypatch.setattr(reader, "check", refused)
    (problem,) = real_data.problems_of("mnist", tmp_path, settings)
    assert re.search(told, str(problem))
    monkeypatch.setattr(reader, "check", lambda _: [])
    monkeypatch.setattr(reader, "sizes", refused)
    (problem,) = real_data.problems_of("mnist", tmp_path, settings)
    assert re.search(told, str(problem))
    monkeypatch.delattr(reader, "sizes")
    monkeypatch.setattr(reader, "load_split", refused)
    with pytest.raises(DataError, match=told):
        real_data.load_split("mnist", tmp_path, "test", settings)
    monkeypatch.setattr(reader, "prepare", refused, raising=False)
    with pytest.raises(DataError, match=told):
        prepare_data("mnist", tmp_path)
    with pytest.raises(DataError, match=told):
        lazily(tmp_path / "mnist", 3, ("inputs",), refused)["inputs"][np.array([0])]


def test_a_name_that_is_too_long_is_a_problem(tmp_path):
    (problem,) = real_data.problems_of("mnist", tmp_path / ("x" * 300), WORKLOAD.settings["full"])
    assert "File name too long" in problem.what and "shorten its name" in problem.remedy


def test_what_a_library_says_of_content_is_damage_and_what_the_system_says_is_not(tmp_path):
    for error in (OSError("no signature"), KeyError("x"), ValueError()):
        reading = real_data.damage(tmp_path / "x", "cannot be read", "again", KeyError, ValueError)
        with pytest.raises(DataError, match="x: cannot be read .*; again"), reading:
            raise error
    with pytest.raises(PermissionError) as caught, real_data.damage(tmp_path / "x", "", ""):
        raise PermissionError(errno.EACCES, "as HDF5 says it")
    assert caught.value.filename == tmp_path / "x"


def test_what_is_hidden_is_not_listed_and_what_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    for name in ("b/2.h5", "a/1.h5", "a/._1.h5", "a/x.txt", ".ipynb_checkpoints/1.h5", "c.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert real_data.listed(tmp_path, "*/*.h5") == [tmp_path / "a/1.h5", tmp_path / "b/2.h5"]
    assert real_data.listed(tmp_path / "nowhere", "*") == []
    entries = Path.iterdir

    def refused(place):
        if place.name == "b":
            raise PermissionError(errno.EACCES, "", str(place))
        return entries(place)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(PermissionError):
        real_data.listed(tmp_path, "*/*.h5")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has 0 bytes"),
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "no int 'rows'"),
        (b"{}", "no int 'rows'"),
        (b'{"rows": "3"}', "no int 'rows'"),
    ],
)
def test_a_manifest_that_lacks_something_is_told(tmp_path, content, told):
    path = tmp_path / "manifest.json"
    with pytest.raises(DataError, match="manifest.json: is missing; again"):
        real_data.manifest_of(path, {"rows": int}, "again")
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"manifest.json: .*{told}.*; again"):
        real_data.manifest_of(path, {"rows": int}, "again")
    path.write_text('{"rows": 3}')
    assert real_data.manifest_of(path, {"rows": int}, "again") == {"rows": 3}


def npz(path):
    with path.open("wb") as file:
        np.savez(file, a=1)


@pytest.mark.parametrize(
    "write",
    [
        npz,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04"),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b"xxxxxx" + path.read_bytes()[6:]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"{", b"(", 1)),
        lambda path: np.save(path, np.zeros((2, 2))),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_damaged_array_is_told(tmp_path, write, mapped):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3))
    assert real_data.saved_array(path, "again", mapped=mapped).tolist() == [0, 1, 2]
    write(path)
    with pytest.raises(DataError, match="a.npy: cannot be read .*; again") as caught:
        real_data.saved_array(path, "again", mapped=mapped)
    assert "pickle" not in str(caught.value)


def test_a_new_file_appears_whole_or_not_at_all_and_two_may_be_made_at_once(tmp_path):
    target = tmp_path / "x"
    with pytest.raises(RuntimeError), real_data.new_file(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with real_data.new_file(target) as file, real_data.new_file(target) as other:
        other.write(b"2")
        file.write(b"1")
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"1"


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


def test_lazy_examples_are_read_once_per_batch_and_sliced_without_reading(tmp_path):
    numbers, reads = np.arange(100), []

    def fetch(positions):
        reads.append(list(positions))
        return {"inputs": numbers[positions], "targets": -numbers[positions]}

    arrays = lazily(tmp_path, 100, ("inputs", "targets"), fetch)
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
