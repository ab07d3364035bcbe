"""The reader of ImageNet's folders, on trees in its form: whole, incomplete and mixed up."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from workloads import imagenet_folders as reader

CLASSES = 12
NAMES = [f"n{number:08d}" for number in range(1440764, 1440764 + 7 * CLASSES, 7)]
V2 = reader.SPLIT_FOLDERS["test"]


@pytest.fixture
def tree(tmp_path):
    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"jpeg")

    for label, name in enumerate(NAMES):
        for i in range(5):
            write(tmp_path / "train" / name / f"{name}_{i}.JPEG")
        write(tmp_path / "val" / name / f"ILSVRC2012_val_{label:08d}.JPEG")
        for i in range(2):
            write(tmp_path / V2 / str(label) / f"{i}f.jpeg")
    (tmp_path / "train" / NAMES[0] / "list.txt").write_text("")
    (tmp_path / "train" / NAMES[0] / "._hidden.JPEG").write_text("")
    (tmp_path / "val" / "lost+found").mkdir()
    (tmp_path / "val" / NAMES[0] / "folder.JPEG").mkdir()
    return tmp_path


def messages(folder):
    return [str(problem) for problem in reader.check(folder, CLASSES)]


def test_a_whole_tree_has_no_problem_and_its_sizes(tree):
    assert messages(tree) == []
    assert reader.sizes(tree) == {"train": 5 * CLASSES, "validation": CLASSES, "test": 2 * CLASSES}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_picture_is_listed_with_the_class_of_its_folder(tree, split):
    arrays = reader.load_split(tree, split)
    assert arrays["targets"].dtype == np.int32
    listed = reader.paths(tree, arrays["inputs"])
    pattern = {"train": "n*/n*.JPEG", "validation": "n*/*.JPEG", "test": "*/*.jpeg"}[split]
    assert sorted(listed) == sorted(
        path for path in (tree / reader.SPLIT_FOLDERS[split]).glob(pattern) if path.is_file()
    )
    for path, label in zip(listed, arrays["targets"], strict=True):
        # ImageNet-v2 counts its classes 0, 1, ..., 10: in the order of text, 10 would come before 2.
        assert path.parent.name == (str(label) if split == "test" else NAMES[label])


def test_training_files_come_in_one_shuffled_order(tree):
    first, again = (reader.load_split(tree, "train") for _ in range(2))
    np.testing.assert_array_equal(first["inputs"], again["inputs"])
    assert len(np.unique(first["targets"][: 2 * CLASSES])) > CLASSES / 2
    assert (np.diff(reader.load_split(tree, "validation")["targets"]) >= 0).all()


@pytest.mark.parametrize(
    ("damage", "file", "what", "remedy"),
    [
        (lambda t: shutil.rmtree(t / "train"), "train", "there is no such folder", "ILSVRC2012_img_train.tar"),
        (lambda t: shutil.rmtree(t / V2), V2, "there is no such folder", "imagenetv2-matched-frequency.tar.gz"),
        (lambda t: shutil.rmtree(t / "val" / NAMES[3]), "val", "holds 11 folders of classes instead of 12", "sort"),
        (
            lambda t: (t / "train" / NAMES[2]).rename(t / "train" / "n99999999"),
            f"train/{NAMES[2]}",
            "is missing, and val has it",
            "each of its 1,000 archives",
        ),
        (lambda t: (t / V2 / "3").rename(t / V2 / "12"), V2, "its folders are not called 0 to 11", "unpack"),
        (lambda t: (t / V2 / "3").rename(t / V2 / NAMES[3]), V2, "holds 11 folders of classes instead of 12", "unpack"),
        (
            lambda t: [path.unlink() for path in (t / "train" / NAMES[1]).iterdir()],
            f"train/{NAMES[1]}",
            "holds no JPEG file",
            "unpack",
        ),
    ],
)
def test_what_is_missing_or_mixed_up_is_told(tree, damage, file, what, remedy):
    damage(tree)
    found = messages(tree)
    assert any(m.startswith(f"{tree / file}: {what}; ") and remedy in m for m in found), found


def test_the_archives_that_are_wanted_are_named_with_the_command_that_unpacks_them(tree):
    shutil.rmtree(tree / "val")
    command = "run `timetrial data prepare imagenet_resnet`"
    (problem,) = reader.check(tree, CLASSES)
    assert f"put ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz into {tree} and {command}" in problem.remedy
    (tree / "ILSVRC2012_img_val.tar").write_text("")
    (problem,) = reader.check(tree, CLASSES)
    assert f"put ILSVRC2012_devkit_t12.tar.gz into {tree} and {command}" in problem.remedy
    (tree / "ILSVRC2012_devkit_t12.tar.gz").write_text("")
    (problem,) = reader.check(tree, CLASSES)
    assert problem.what == "is not unpacked yet" and problem.remedy.startswith(command)
    assert any("ILSVRC2012_devkit_t12.tar.gz" in line for line in reader.SOURCE.expected)
