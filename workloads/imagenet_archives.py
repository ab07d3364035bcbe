"""Unpacks ImageNet's archives into the folders that :mod:`workloads.imagenet_folders` reads.

ILSVRC2012_img_train.tar               1,000 archives n01440764.tar with the pictures of a class each
ILSVRC2012_img_val.tar                 pictures ILSVRC2012_val_00000001.JPEG to 00050000
ILSVRC2012_devkit_t12.tar.gz           the classes of the validation pictures, and the synsets of the classes
imagenetv2-matched-frequency.tar.gz    the folders of ImageNet-v2
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from workloads.cache import new_folder
from workloads.imagenet_folders import ARCHIVES, BY_HAND, DEVKIT, SPLIT_FOLDERS
from workloads.real_data import Problem, checksum, damage, log

MD5 = {
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT: "fa75699e90414af021442c21a62c3abf",
}
"""As ILSVRC publishes them; ImageNet-v2 publishes none."""

_DEVKIT_DATA = "ILSVRC2012_devkit_t12/data/"
_AGAIN = "download it again"
_PIECE = 1 << 20


def prepare(folder: Path) -> None:
    """Unpacks the splits whose folders are not there yet, after comparing checksums.

    Raises:
      WorkloadError: an archive is missing, damaged, or does not hold what it should.
    """
    missing = [split for split in SPLIT_FOLDERS if not (folder / SPLIT_FOLDERS[split]).exists()]
    needed = [(split, folder / name) for split in missing for name in ARCHIVES[split]]
    for split, path in needed:
        if not path.exists():
            raise Problem(path, "is missing", f"put it there, or {BY_HAND[split]}").error()
    for _, path in needed:
        _compare_checksum(path)
    for split in missing:
        path = folder / ARCHIVES[split][0]
        log.info("unpacking %s", path)
        with new_folder(folder / SPLIT_FOLDERS[split]) as temporary:
            for name, content in _PICTURES[split](path):
                (temporary / name).parent.mkdir(exist_ok=True)
                (temporary / name).write_bytes(content)


def _compare_checksum(path: Path) -> None:
    expected = MD5.get(path.name)
    if expected is None:
        return
    log.info("comparing the checksum of %s", path)
    if (found := checksum(path, "md5")) != expected:
        raise Problem(path, f"has the MD5 checksum {found} instead of {expected}", _AGAIN).error()


def _train_pictures(archive: Path) -> Iterator[tuple[str, bytes]]:
    for name, content in _members(archive):
        synset = PurePosixPath(name).stem
        for picture, pixels in _members(archive, content, name):
            yield f"{synset}/{PurePosixPath(picture).name}", pixels


def _validation_pictures(archive: Path) -> Iterator[tuple[str, bytes]]:
    synsets = validation_synsets(archive.with_name(DEVKIT))
    for path, content in _members(archive):
        name = PurePosixPath(path).name
        number = re.fullmatch(r"ILSVRC2012_val_(\d+)\.JPEG", name)
        if number is None or not 1 <= int(number[1]) <= len(synsets):
            raise Problem(archive, f"holds {path}, which is no validation picture", _AGAIN).error()
        yield f"{synsets[int(number[1]) - 1]}/{name}", content


def _test_pictures(archive: Path) -> Iterator[tuple[str, bytes]]:
    for path, content in _members(archive):
        place = re.fullmatch(r"(?:.*/)?(\d+/[^/]+)", path)
        if place is None:
            raise Problem(archive, f"holds {path}, which is in no folder of a class", _AGAIN).error()
        yield place[1], content


_PICTURES = {"train": _train_pictures, "validation": _validation_pictures, "test": _test_pictures}


def validation_synsets(devkit: Path) -> list[str]:
    """The synset of each validation picture in the order of their numbers.

    Raises:
      WorkloadError: the development kit is damaged, or its files contradict each other.
    """
    from scipy.io import loadmat

    files = {PurePosixPath(name).name: content for name, content in _members(devkit) if name.startswith(_DEVKIT_DATA)}
    truth, meta = (files.get(name) for name in ("ILSVRC2012_validation_ground_truth.txt", "meta.mat"))
    if truth is None or meta is None:
        raise Problem(devkit, "holds no ground truth of the validation pictures, or no synsets", _AGAIN).error()
    synsets = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    leaves = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
    numbers = [int(line) for line in truth.split()]
    unknown = sorted(set(numbers) - leaves.keys())
    if unknown:
        raise Problem(devkit, f"names the class {unknown[0]}, which has no synset", _AGAIN).error()
    return [leaves[number] for number in numbers]


def _members(archive: Path, content: bytes | None = None, within: str = "") -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of an archive, or of the archive ``within`` it with this content."""
    what = f"{within} in it cannot be unpacked" if within else "cannot be unpacked"
    source = archive.open("rb") if content is None else io.BytesIO(content)
    broken = damage(archive, what, _AGAIN, tarfile.TarError, zlib.error, EOFError)
    with broken, source, tarfile.open(fileobj=source) as packed:
        for member in packed:
            file = packed.extractfile(member)
            if file is not None:
                yield member.name, file.read()
        # gzip's checksum lies behind tar's end.
        while cast(BinaryIO, packed.fileobj).read(_PIECE):
            pass
