"""The reader of fastMRI's HDF5 volumes, on small folders in its form: whole, cut short, corrupted, contradictory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from harness.frameworks import load
from harness.spec import WorkloadError
from workloads.fastmri import reader
from workloads.fastmri.workload import WORKLOAD
from workloads.real_data import DataError, problems_of

SETTINGS = dataclasses.replace(
    WORKLOAD.settings["full"], splits={"train": 5, "eval_train": 2, "validation": 3, "test": 2}
)
VOLUMES = {  # slices, rows and columns of k-space
    "knee_singlecoil_train/file1000002.h5": (2, 336, 322),
    "knee_singlecoil_train/file1000001.h5": (3, 326, 332),
    "knee_singlecoil_val/file1000107.h5": (2, 330, 326),
    "knee_singlecoil_val/file1000026.h5": (1, 322, 320),
    "knee_singlecoil_val/file1000229.h5": (2, 321, 321),
}


def content(name):
    """k-space and images of a file, of the magnitudes of the real ones."""
    slices, height, width = VOLUMES[name]
    random = np.random.RandomState(int(Path(name).stem[4:]))
    kspace = 1e-4 * (random.standard_normal((slices, height, width, 2)) @ [1, 1j])
    return kspace.astype(np.complex64), (1e-4 * random.random_sample((slices, 320, 320))).astype(np.float32)


def write(path, kspace, images, **attributes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if kspace is not None:
            file["kspace"] = kspace
        file["reconstruction_esc"] = images
        file.attrs.update(attributes)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(reader._PARTS, "validation", slice(2))
    monkeypatch.setitem(reader._PARTS, "test", slice(2, None))
    folder = tmp_path / "fastmri"
    for name in VOLUMES:
        kspace, images = content(name)
        write(folder / name, kspace, images, max=images.max(), acquisition="CORPD_FBK", patient_id="x")
    return folder


def image_of(kspace):
    """The magnitude of the centred orthonormal inverse transform, cropped to 320 x 320: fastMRI's definition."""
    shifted = np.fft.ifft2(np.fft.ifftshift(kspace.astype(np.complex128)), norm="ortho")
    top, left = ((size - 320) // 2 for size in kspace.shape)
    return np.abs(np.fft.fftshift(shifted))[top : top + 320, left : left + 320]


FILES_OF = {
    "train": ["knee_singlecoil_train/file1000001.h5", "knee_singlecoil_train/file1000002.h5"],
    "validation": ["knee_singlecoil_val/file1000026.h5", "knee_singlecoil_val/file1000107.h5"],
    "test": ["knee_singlecoil_val/file1000229.h5"],
}


@pytest.mark.parametrize("split", FILES_OF)
def test_slices_are_read_in_the_order_of_the_files_names(folder, split):
    assert reader.check(folder) == []
    assert reader.sizes(folder, SETTINGS) == {"train": 5, "validation": 3, "test": 2}
    expected = [
        (scan, image, images.max())
        for kspace, images in map(content, FILES_OF[split])
        for scan, image in zip(kspace, images, strict=True)
    ]
    arrays = reader.load_split(folder, split, SETTINGS)
    assert {len(array) for array in arrays.values()} == {len(expected)}
    chosen = np.arange(len(expected))[::-1]
    batch = {name: array[chosen] for name, array in arrays.items()}
    assert batch["width"].tolist() == [expected[i][0].shape[1] for i in chosen]
    for place, i in enumerate(chosen):
        _, image, largest = expected[i]
        np.testing.assert_array_equal(batch["targets"][place], image)
        assert batch["volume_max"][place] == largest


def test_without_a_mask_the_image_is_the_one_that_k_space_defines(folder):
    arrays = reader.load_split(folder, "train", SETTINGS)
    batch = {name: array[np.array([1, 4])] for name, array in arrays.items()}
    workload = WORKLOAD("base", "full")
    found = workload.collate({**batch, "mask": np.ones((2, batch["inputs"].shape[2]), bool)})
    for place, (name, slice_) in enumerate([("file1000001", 1), ("file1000002", 1)]):
        kspace, images = content(f"knee_singlecoil_train/{name}.h5")
        expected = image_of(kspace[slice_])
        mean, std = expected.mean(), expected.std()
        assert found["mean"][place] == pytest.approx(mean, rel=1e-5)
        assert found["std"][place] == pytest.approx(std, rel=1e-4)
        np.testing.assert_allclose(found["inputs"][place], np.clip((expected - mean) / std, -6, 6), atol=1e-3)
        np.testing.assert_allclose(found["targets"][place], np.clip((images[slice_] - mean) / std, -6, 6), atol=1e-3)


def test_batches_of_different_widths_go_through_training_and_evaluation(folder, monkeypatch):
    monkeypatch.setitem(WORKLOAD.settings, "full", SETTINGS)
    workload = WORKLOAD("base", "full", folder.parent).bind(load("torch"))
    train = workload.load_split("train")
    stored = {name: array[np.arange(5)] for name, array in train.items()}
    drawn = workload.collate(workload.augment(stored, np.random.RandomState(0)))
    fixed = workload.collate(stored)
    assert drawn["inputs"].shape == fixed["inputs"].shape == (5, 320, 320)
    assert drawn["inputs"].dtype == drawn["targets"].dtype == np.float32
    assert not np.allclose(drawn["inputs"], fixed["inputs"], atol=0.1)
    assert len(workload.load_split("eval_train")["inputs"]) == 2


def test_reading_a_batch_opens_its_own_files_only(folder):
    arrays = reader.load_split(folder, "train", SETTINGS)
    (folder / FILES_OF["train"][1]).unlink()
    assert arrays["targets"][np.array([0, 2])].shape == (2, 320, 320)
    with pytest.raises(DataError, match=r"file1000002.h5: cannot be read or written .No such file"):
        arrays["targets"][np.array([4])]


def test_each_batch_is_read_once_for_all_its_arrays(folder, monkeypatch):
    arrays, opened = reader.load_split(folder, "train", SETTINGS), []
    real = h5py.File
    monkeypatch.setattr(reader.h5py, "File", lambda *a, **k: opened.append(a[0]) or real(*a, **k))
    batch = {name: array[np.array([0, 3, 1])] for name, array in arrays.items()}
    assert len(batch) == 4 and len(opened) == 2


# ---- damage ----

VICTIM = "knee_singlecoil_val/file1000107.h5"


def rewrite(change):
    def damage(path):
        kspace, images = content(VICTIM)
        arguments = {"kspace": kspace, "images": images, "max": images.max()}
        arguments.update(change(kspace, images))
        write(path, **{k: v for k, v in arguments.items() if not (k == "max" and v is None)})

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-12]), "not a whole HDF5 file .*truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[: 1 << 16]), "not a whole HDF5 file"),
        (lambda path: path.write_text("<html>404 Not Found</html>"), "not a whole HDF5 file"),
        (lambda path: path.write_bytes(b""), "not a whole HDF5 file"),
        (rewrite(lambda k, x: {"kspace": None}), "has no array kspace"),
        (rewrite(lambda k, x: {"kspace": k.real}), r"kspace is float32 \(2, 330, 326\), no complex slices"),
        (rewrite(lambda k, x: {"kspace": k[:, :300]}), r"no complex slices of at least 320 x 320"),
        (rewrite(lambda k, x: {"images": x[:1]}), r"reconstruction_esc is \(1, 320, 320\), not \(2, 320, 320\)"),
        (rewrite(lambda k, x: {"kspace": k[:0], "images": x[:0]}), "has no slices"),
        (rewrite(lambda k, x: {"images": x.astype("S4")}), r"reconstruction_esc is \|S4, no real numbers"),
        (rewrite(lambda k, x: {"images": x.astype(complex)}), "reconstruction_esc is complex128, no real numbers"),
        (rewrite(lambda k, x: {"max": None}), "has no attribute max"),
        (rewrite(lambda k, x: {"max": np.nan}), "the attribute max is .*nan.*, no number from 0"),
        (rewrite(lambda k, x: {"max": np.inf}), "the attribute max is .*inf.*, no number from 0"),
        (rewrite(lambda k, x: {"max": -1.0}), "the attribute max is .*-1.0.*, no number from 0"),
        (rewrite(lambda k, x: {"max": "abc"}), "the attribute max is 'abc', no number from 0"),
        (rewrite(lambda k, x: {"max": np.ones(2)}), "the attribute max is .*, no number from 0"),
    ],
)
def test_a_damaged_file_is_found_before_training(folder, damage, message):
    damage(folder / VICTIM)
    (problem,) = reader.check(folder)
    assert problem.file == folder / VICTIM and problem.remedy
    with pytest.raises(DataError, match=message):
        reader.load_split(folder, "validation", SETTINGS)
    assert len(reader.load_split(folder, "train", SETTINGS)["targets"]) == 5


def test_values_that_are_no_numbers_are_found_when_they_are_read(folder):
    kspace, images = content(VICTIM)
    kspace[1, 160, 160] = np.nan
    write(folder / VICTIM, kspace, images, max=images.max())
    arrays = reader.load_split(folder, "validation", SETTINGS)
    assert np.isfinite(arrays["inputs"][np.array([1])]).all()
    with pytest.raises(DataError, match=r"file1000107.h5: slice 1 holds values that are no numbers"):
        arrays["inputs"][np.array([2])]


def test_a_mended_file_is_looked_at_again(folder):
    (folder / VICTIM).write_bytes(b"")
    assert len(reader.check(folder)) == 1
    kspace, images = content(VICTIM)
    write(folder / VICTIM, kspace, images, max=images.max())
    assert reader.check(folder) == []


def test_missing_files_are_noticed_by_the_number_of_slices(folder, monkeypatch):
    monkeypatch.setitem(WORKLOAD.settings, "full", SETTINGS)
    (folder / VICTIM).unlink()
    with pytest.raises(WorkloadError, match="the split test has 0 examples instead of 2"):
        WORKLOAD("base", "full", folder.parent).load_split("train")


def test_an_absent_part_is_named(folder):
    for path in (folder / "knee_singlecoil_val").glob("*"):
        path.unlink()
    (problem,) = reader.check(folder)
    told = f"{folder / 'singlecoil_val'}: holds no .h5 files; unpack fastMRI's archives of singlecoil_val"
    assert str(problem).startswith(told)


def test_folders_are_called_as_the_archives_unpack_or_as_algoperf_calls_them(folder):
    expected = reader.load_split(folder, "train", SETTINGS)["targets"][np.arange(5)]
    (folder / "knee_singlecoil_train").rename(folder / "singlecoil_train")
    assert reader.check(folder) == []
    np.testing.assert_array_equal(reader.load_split(folder, "train", SETTINGS)["targets"][np.arange(5)], expected)


def test_hidden_files_are_none_of_the_data_and_a_link_to_nothing_is_a_problem(folder):
    (folder / "knee_singlecoil_val" / "._file1000107.h5").write_bytes(b"\0\5\x16\7")
    assert reader.check(folder) == [] and reader.sizes(folder, SETTINGS)["validation"] == 3
    path = folder / VICTIM
    path.unlink()
    path.symlink_to("/nowhere/at/all")
    (problem,) = problems_of("fastmri", folder.parent, SETTINGS)
    assert problem.file == path and "No such file" in problem.what
