"""ImageNet's archives, small ones in their form, unpacked into the folders that the reader reads."""

from __future__ import annotations

import hashlib
import io
import tarfile

import numpy as np
import pytest
from scipy.io import savemat

from harness.spec import WorkloadError
from workloads import imagenet_archives as archives
from workloads import imagenet_folders as reader

NAMES = ["n01440764", "n01443537", "n01484850"]
IDS = {"n01440764": 3, "n01443537": 1, "n01484850": 2}
"""The development kit's numbers, which are in another order than the names."""
TRUTH = [1, 3, 2, 3]


def packed(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def devkit(truth):
    rows = [(number, name, "words", "gloss", 0) for name, number in IDS.items()] + [(4, "n00000001", "", "", 3)]
    fields = [(field, object) for field in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": np.array(rows, fields).reshape(-1, 1)})
    data = "ILSVRC2012_devkit_t12/data/"
    text = "".join(f"{number}\n" for number in truth).encode()
    files = {f"{data}ILSVRC2012_validation_ground_truth.txt": text, f"{data}meta.mat": buffer.getvalue()}
    return packed({"ILSVRC2012_devkit_t12/readme.txt": b"", **files}, "w:gz")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    inner = {f"{n}.tar": packed({f"{n}_{i}.JPEG": f"{n} {i}".encode() for i in range(2)}) for n in NAMES}
    validation = {f"ILSVRC2012_val_{i:08d}.JPEG": str(i).encode() for i in range(1, 5)}
    v2 = {f"imagenetv2-matched-frequency-format-val/{i}/{i}a.jpeg": str(i).encode() for i in range(3)}
    contents = {
        "ILSVRC2012_img_train.tar": packed(inner),
        "ILSVRC2012_img_val.tar": packed(validation),
        archives.DEVKIT: devkit(TRUTH),
        "imagenetv2-matched-frequency.tar.gz": packed(v2, "w:gz"),
    }
    for name, content in contents.items():
        write(tmp_path, monkeypatch, name, content)
    return tmp_path


def write(folder, monkeypatch, name, content):
    """With the checksum that it should have."""
    (folder / name).write_bytes(content)
    if name in archives.MD5:
        monkeypatch.setitem(archives.MD5, name, hashlib.md5(content).hexdigest())


def test_archives_become_folders_that_the_reader_takes(folder):
    assert {problem.what for problem in reader.check(folder, 3)} == {"is not unpacked yet"}
    archives.prepare(folder)
    assert reader.check(folder, 3) == []
    assert reader.sizes(folder) == {"train": 6, "validation": 4, "test": 3}
    assert (folder / "train" / NAMES[1] / f"{NAMES[1]}_1.JPEG").read_bytes() == f"{NAMES[1]} 1".encode()
    validation = reader.load_split(folder, "validation")
    found = {int(p.stem[-8:]): NAMES[c] for p, c in zip(reader.paths(folder, validation["inputs"]),
                                                         validation["targets"], strict=True)}  # fmt: skip
    assert {number: IDS[name] for number, name in found.items()} == dict(enumerate(TRUTH, start=1))


def test_what_is_unpacked_needs_no_archive_any_more(folder):
    archives.prepare(folder)
    for path in folder.glob("*.tar*"):
        path.unlink()
    archives.prepare(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(reader.SPLIT_FOLDERS.values())


@pytest.mark.parametrize(
    "archive", ["ILSVRC2012_img_train.tar", archives.DEVKIT, "imagenetv2-matched-frequency.tar.gz"]
)
def test_a_missing_archive_is_named_before_anything_is_unpacked(folder, archive):
    (folder / archive).unlink()
    with pytest.raises(WorkloadError, match=f"{archive}: is missing; put it there"):
        archives.prepare(folder)
    assert not any(path.is_dir() for path in folder.iterdir())


def test_a_wrong_checksum_is_told_before_anything_is_unpacked(folder):
    with (folder / "ILSVRC2012_img_val.tar").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WorkloadError, match=r"ILSVRC2012_img_val.tar: has the MD5 checksum .* download it again"):
        archives.prepare(folder)
    assert not any(path.is_dir() for path in folder.iterdir())


def corrupted():
    """A byte of a picture changed, in a part that gzip has stored as it is: only its checksum can tell."""
    pixels = np.random.RandomState(0).bytes(40_000)
    content = bytearray(packed({"v2/0/a.jpeg": pixels}, "w:gz"))
    content[content.index(pixels[20_000:20_100])] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    ("archive", "content", "message"),
    [
        (
            "ILSVRC2012_img_train.tar",
            packed({"n01440764.tar": b"no archive"}),
            "n01440764.tar in it cannot be unpacked",
        ),
        ("ILSVRC2012_img_val.tar", packed({"other.JPEG": b""}), "holds other.JPEG, which is no validation picture"),
        ("ILSVRC2012_img_val.tar", packed({"ILSVRC2012_val_00000005.JPEG": b""}), "which is no validation picture"),
        (archives.DEVKIT, devkit([1, 9]), "names the class 9, which has no synset"),
        (archives.DEVKIT, packed({"readme": b""}, "w:gz"), "holds no ground truth"),
        ("imagenetv2-matched-frequency.tar.gz", b"<html>", "cannot be unpacked"),
        ("imagenetv2-matched-frequency.tar.gz", packed({"README": b""}, "w:gz"), "holds README, which is in no folder"),
        ("imagenetv2-matched-frequency.tar.gz", corrupted(), "cannot be unpacked .CRC check failed"),
    ],
    ids=[
        "no archive inside",
        "other name",
        "no such picture",
        "no such class",
        "no ground truth",
        "web page",
        "top level",
        "stored data",
    ],
)
def test_a_damaged_archive_leaves_no_folder_that_looks_finished(folder, monkeypatch, archive, content, message):
    write(folder, monkeypatch, archive, content)
    with pytest.raises(WorkloadError, match=f"{archive}: .*{message}"):
        archives.prepare(folder)
    split = {"ILSVRC2012_img_train.tar": "train", "imagenetv2-matched-frequency.tar.gz": "test"}.get(
        archive, "validation"
    )
    assert not (folder / reader.SPLIT_FOLDERS[split]).exists()
    assert not list(folder.glob(".making-*"))
