"""Reads ImageNet as folders of JPEG files, one folder per class; ``reader.py`` of the workloads that train on it.

train/n01440764/*.JPEG                              ILSVRC 2012 (Russakovsky et al. 2015, arXiv 1409.0575)
val/n01440764/ILSVRC2012_val_*.JPEG                 its validation set, sorted into folders of the same names
imagenetv2-matched-frequency-format-val/0/*.jpeg    ImageNet-v2 (Recht et al. 2019, arXiv 1902.10811), folders named by
                                                    the class's number among the sorted names of ILSVRC

A class's number is its folder's place in the order of the names, by number for ImageNet-v2. Splits hold the names of
their files, which :mod:`workloads.images` decodes when they are used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.spec import Settings
from workloads.real_data import DataSource, Problem, hidden

FOLDER = "imagenet"
CLASSES = 1000

SPLIT_FOLDERS = {"train": "train", "validation": "val", "test": "imagenetv2-matched-frequency-format-val"}
_CLASS_NAMES = {"train": r"n\d{8}", "validation": r"n\d{8}", "test": r"\d+"}
_ENDINGS = (".jpeg", ".jpg")
_ORDER_SEED = 0
"""Training files are listed in one fixed shuffled order, so that their head, ``eval_train``, has all classes."""
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
ARCHIVES = {
    "train": ("ILSVRC2012_img_train.tar",),
    "validation": ("ILSVRC2012_img_val.tar", DEVKIT),
    "test": ("imagenetv2-matched-frequency.tar.gz",),
}
"""What :func:`workloads.imagenet_archives.prepare` unpacks a split from."""
BY_HAND = {
    "train": f"unpack {ARCHIVES['train'][0]}, then each of its 1,000 archives into a folder of its name",
    "validation": f"unpack {ARCHIVES['validation'][0]}, and sort its files into folders named as those of train",
    "test": f"unpack {ARCHIVES['test'][0]} there",
}
_PREPARE = "run `timetrial data prepare imagenet_resnet`, which unpacks the archives, for both workloads"

SOURCE = DataSource(
    summary="ImageNet (ILSVRC 2012) and ImageNet-v2 (matched frequency) as folders of JPEG files",
    origin="https://image-net.org (ILSVRC 2012, task 1 and 2); https://github.com/modestyachts/ImageNetV2",
    terms="ImageNet: registration, non-commercial research and education; ImageNet-v2: MIT",
    size="138 + 6 + 1.2 GB to download, as much on disk",
    expected=tuple(
        f"{folder}/<{CLASSES:,} classes>/*.JPEG, or {' and '.join(ARCHIVES[split])}, which prepare unpacks"
        for split, folder in SPLIT_FOLDERS.items()
    ),
)


def check(folder: Path, classes: int = CLASSES) -> list[Problem]:
    """Missing folders, folders that are not classes, and classes without pictures; opens no picture."""
    problems = [problem for split in SPLIT_FOLDERS for problem in _split_problems(folder, split, classes)]
    if not problems:
        named = {split: set(_class_folders(folder, split)) for split in ("train", "validation")}
        for name in sorted(named["train"] ^ named["validation"]):
            has, lacks = ("train", "validation") if name in named["train"] else ("validation", "train")
            where = folder / SPLIT_FOLDERS[lacks] / name
            problems.append(Problem(where, f"is missing, and {SPLIT_FOLDERS[has]} has it", _again(folder, lacks)))
    return problems


def sizes(folder: Path, settings: Settings | None = None) -> dict[str, int]:
    """Number of pictures of every split, whatever the settings."""
    return {
        split: sum(len(_pictures(folder / SPLIT_FOLDERS[split] / name)) for name in _class_folders(folder, split))
        for split in SPLIT_FOLDERS
    }


def load_split(folder: Path, split: str, settings: Settings | None = None) -> Mapping[str, np.ndarray]:
    """``inputs``: names of files relative to ``folder``, bytes ``[n]``; ``targets``: class numbers int32 ``[n]``."""
    names: list[bytes] = []
    labels: list[int] = []
    for label, name in enumerate(_class_folders(folder, split)):
        pictures = _pictures(folder / SPLIT_FOLDERS[split] / name)
        names += [os.fsencode(f"{SPLIT_FOLDERS[split]}/{name}/{picture}") for picture in pictures]
        labels += [label] * len(pictures)
    order = np.arange(len(names))
    if split == "train":
        order = np.random.RandomState(_ORDER_SEED).permutation(len(names))
    return {"inputs": np.array(names, np.bytes_)[order], "targets": np.array(labels, np.int32)[order]}


def paths(folder: Path, names: np.ndarray) -> list[Path]:
    """Where the files lie whose ``names [n]`` a split gave."""
    return [folder / os.fsdecode(name) for name in names]


def _split_problems(folder: Path, split: str, classes: int) -> list[Problem]:
    where, remedy = folder / SPLIT_FOLDERS[split], _again(folder, split)
    if not where.is_dir():
        absent = [name for name in ARCHIVES[split] if not (folder / name).exists()]
        if not absent:
            return [Problem(where, "is not unpacked yet", _PREPARE)]
        advice = f"put {' and '.join(absent)} into {folder} and {_PREPARE}; or {BY_HAND[split]}"
        return [Problem(where, "there is no such folder", advice)]
    found = _class_folders(folder, split)
    if len(found) != classes:
        return [Problem(where, f"holds {len(found):,} folders of classes instead of {classes:,}", remedy)]
    if split == "test" and sorted(map(int, found)) != list(range(classes)):
        return [Problem(where, f"its folders are not called 0 to {classes - 1}", remedy)]
    return [Problem(where / name, "holds no JPEG file", remedy) for name in found if not _pictures(where / name)]


def _again(folder: Path, split: str) -> str:
    archives = " and ".join(ARCHIVES[split])
    return f"delete {folder / SPLIT_FOLDERS[split]}, put {archives} into {folder} and {_PREPARE}; or {BY_HAND[split]}"


def _class_folders(folder: Path, split: str) -> Sequence[str]:
    """Names of a split's folders in the order of their classes."""
    with os.scandir(folder / SPLIT_FOLDERS[split]) as entries:
        names = [e.name for e in entries if re.fullmatch(_CLASS_NAMES[split], e.name) and e.is_dir()]
    return sorted(names, key=int if split == "test" else str)


def _pictures(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            e.name for e in entries if e.name.lower().endswith(_ENDINGS) and not hidden(e.name) and e.is_file()
        )
