"""The data cache: what is written is read back, damage is told, and processes do not trip over each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads.cache import ENVIRONMENT_VARIABLE, Cache, content_digest, root

REPOSITORY = Path(__file__).parents[2]


def arrays():
    return {"train_inputs": np.arange(12, dtype=np.float32).reshape(4, 3) / 7, "test_targets": np.arange(5)}


@pytest.fixture
def cache(tmp_path):
    cache = Cache(tmp_path, "toy", 1, {"seed": 3})
    cache.load("train", arrays)
    return cache


def never():
    raise AssertionError("generated again")


def test_what_is_generated_once_is_read_back_unchanged(cache):
    loaded = cache.load("train", never)
    assert list(loaded) == ["inputs"]
    np.testing.assert_array_equal(loaded["inputs"], arrays()["train_inputs"])
    assert not loaded["inputs"].flags.writeable
    np.testing.assert_array_equal(cache.load("test", never)["targets"], np.arange(5))
    cache.verify()


def test_version_and_configuration_have_their_own_folders(cache):
    folders = {Cache(cache.root, "toy", v, {"seed": s}).folder for v in (1, 2) for s in (3, 4)}
    assert len(folders) == 4
    assert cache.folder in folders


def test_only_the_finished_folder_is_left(cache):
    assert [path.name for path in cache.folder.parent.iterdir()] == [cache.folder.name]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "train_inputs.npy").unlink(), "no train_inputs.npy"),
        (lambda folder: os.truncate(folder / "train_inputs.npy", 100), "has 100 bytes instead of 176"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json cannot be read"),
        (lambda folder: (folder / "train_inputs.npy").write_bytes(b"x" * 176), "train_inputs.npy cannot be read"),
        (
            lambda folder: np.save(folder / "train_inputs.npy", np.zeros((3, 4), np.float32)),
            r"holds float32 \(3, 4\)",
        ),
    ],
)
def test_damage_is_told_with_the_remedy(cache, damage, message):
    damage(cache.folder)
    with pytest.raises(WorkloadError, match=message) as caught:
        cache.load("train", never)
    assert "delete that folder, and it will be generated again" in str(caught.value)
    assert str(cache.folder) in str(caught.value)


def test_changed_content_of_the_right_size_is_found_by_its_digest(cache):
    np.save(cache.folder / "train_inputs.npy", np.zeros((4, 3), np.float32))
    with pytest.raises(WorkloadError, match="do not have the digest"):
        cache.verify()


def test_digest_ignores_the_last_bits_and_sees_the_rest():
    base = {"x": np.array([0.5, 2.0], np.float32)}
    assert content_digest({"x": np.nextafter(base["x"], np.float32(9))}) == content_digest(base)
    assert content_digest({"x": base["x"] + np.float32(0.01)}) != content_digest(base)
    assert content_digest({"y": base["x"]}) != content_digest(base)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkloadError, match=f"cannot write the data of toy .*{ENVIRONMENT_VARIABLE}"):
        Cache(tmp_path / "file", "toy", 1, {}).load("train", arrays)


def test_a_generator_that_fails_leaves_nothing(tmp_path):
    cache = Cache(tmp_path, "toy", 1, {})
    with pytest.raises(AssertionError):
        cache.load("train", never)
    assert not cache.folder.exists()


RACE = """
import sys, time
from pathlib import Path
import numpy as np
from workloads.cache import Cache

folder, markers, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def slowly():
    (markers / name).touch()
    while len(list(markers.iterdir())) < 3:  # until all processes have seen that nothing is there
        time.sleep(0.01)
    return {"train_inputs": np.arange(1000)}

assert Cache(folder, "toy", 1, {}).load("train", slowly)["inputs"][-1] == 999
"""


def test_processes_that_generate_at_once_all_succeed(tmp_path):
    markers = tmp_path / "markers"
    markers.mkdir()
    processes = [
        subprocess.Popen([sys.executable, "-c", RACE, tmp_path, markers, str(i)], cwd=REPOSITORY) for i in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "toy").iterdir())) == 1


def test_data_directory_comes_from_the_argument_then_the_environment_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "named"))
    assert root(tmp_path / "given") == tmp_path / "given"
    assert root(None) == tmp_path / "named"
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert root(None) == tmp_path / "cache" / "timetrial"


def test_manifest_says_what_made_the_data(cache):
    manifest = json.loads((cache.folder / "manifest.json").read_text())
    assert manifest["workload"] == "toy"
    assert manifest["version"] == 1
    assert manifest["config"] == {"seed": 3}
    assert manifest["digest"] == content_digest(arrays())
