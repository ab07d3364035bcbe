"""Reads WMT's parallel text, German and English, and turns it into token ids once.

train.de, train.en             one sentence per line; or any number of such pairs in the folder training
newstest2013, newstest2014     as .de and .en, or as SGML as in WMT's archives: newstest2013-src.de.sgm,
                               newstest2013-ref.en.sgm, newstest2014-deen-src.de.sgm, newstest2014-deen-ref.en.sgm
sentencepiece.model            optional: a vocabulary trained elsewhere
prepared                       what ``prepare`` makes: token ids, one after the other, and where each sentence ends
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.spec import Settings
from workloads.cache import new_folder
from workloads.real_data import (
    DataError,
    DataSource,
    Lazy,
    Problem,
    checksum,
    file_problems,
    lazily,
    listed,
    log,
    manifest_of,
    problem_in,
    saved_array,
)
from workloads.wmt.packing import SIDES, padded, rows_of
from workloads.wmt.text import REMEDY, Pair, pairs
from workloads.wmt.vocabulary import Vocabulary, trained

SOURCE = DataSource(
    summary="WMT17's German-English training text, newstest2013 and newstest2014",
    origin="https://www.statmt.org/wmt17/translation-task.html (Europarl v7, Common Crawl, News Commentary v12, "
    "Rapid 2016), and the development and test sets of https://www.statmt.org/wmt14/translation-task.html",
    terms="free for research; see the corpora's own terms; no registration",
    size="about 2 GB to download, 2 GB unpacked, 1 GB more prepared",
    expected=(
        "train.{de,en}, or training/*.{de,en}: 5,906,184 pairs that have both sides",
        "newstest2013.{de,en} or newstest2013-{src.de,ref.en}.sgm: 3,000 pairs",
        "newstest2014.{de,en} or newstest2014-deen-{src.de,ref.en}.sgm: 3,003 pairs (both to be moved there from the "
        "archives' folders dev/ and test-full/)",
        "sentencepiece.model (optional): 32,000 pieces, end of sentence 2; trained where it is missing",
    ),
)
PREPARED = "prepared"
VOCABULARY = 32_000
LENGTH = 256
"""Tokens of a sentence at most, END included; longer ones are left out of training."""
_CHARACTERS = 10_000_000
"""Of text from which the vocabulary is trained."""
_TESTS = {"validation": ("newstest2013", ("newstest2013-src.de", "newstest2013-ref.en")),
          "test": ("newstest2014", ("newstest2014-deen-src.de", "newstest2014-deen-ref.en"))}  # fmt: skip
_TEST_PAIRS = {"validation": 3_000, "test": 3_003}
"""Pairs of the test sets, which are small enough to be counted in every check."""
_MODEL, _MANIFEST = "sentencepiece.model", "manifest.json"
_CHUNK = 50_000
"""Pairs encoded or moved at a time."""
_ORDER_SEED = 0

Files = tuple[Path, Path]


def check(folder: Path) -> list[Problem]:
    prepared = folder / PREPARED
    if not prepared.is_dir():
        return _raw_problems(folder) or [Problem(prepared, "is missing", "run `timetrial data prepare wmt`")]
    try:
        manifest = _manifest(folder)
    except DataError as error:
        return [error.problem]
    files = manifest["files"].items()
    cut = [p for name, size in files for p in file_problems(prepared / name, _again(folder), exactly=size)]
    return cut or _changes(folder, manifest)


def sizes(folder: Path, settings: Settings) -> dict[str, int]:
    """Pairs with both sides of every split."""
    pairs_of = _manifest(folder)["pairs"]
    return {split: pairs_of.get(split, 0) for split in ("train", *_TESTS)}


def load_split(folder: Path, split: str, settings: Settings) -> Mapping[str, Any]:
    """Lazy ``inputs`` (German) and ``targets`` int32 ``[n, length]``, a pair per row, cut at the length."""
    length = settings.data["length"]
    sides = [_side(folder, split, name) for name in SIDES]

    def fetch(positions: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: padded(tokens, bounds[positions], bounds[positions + 1], length)
            for name, (tokens, bounds) in zip(SIDES, sides, strict=True)
        }

    return lazily(folder, len(sides[0][1]) - 1, SIDES, fetch)


def packed_rows(folder: Path, length: int) -> dict[str, Lazy]:
    """Training rows ``[m, length]`` of as many whole pairs as fit, in the prepared order; see ``packing``."""
    fitting = _manifest(folder)["fitting"]
    sides = [_side(folder, "train", name) for name in SIDES]
    starts = rows_of(*(np.diff(bounds[: fitting + 1]) for _, bounds in sides), length)

    def fetch(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: padded(tokens, bounds[starts[rows]], bounds[starts[rows + 1]], length)
            for name, (tokens, bounds) in zip(SIDES, sides, strict=True)
        }

    return lazily(folder, len(starts) - 1, SIDES, fetch)


def decoded_text(folder: Path, sentences: Sequence[Sequence[int]], size: int = VOCABULARY) -> list[str]:
    """Detokenised text of token ids without END."""
    return _vocabulary(folder / PREPARED / _MODEL, size).decode(sentences)


def prepare(folder: Path, vocabulary: int = VOCABULARY, length: int = LENGTH, characters: int = _CHARACTERS) -> None:
    """Trains the vocabulary where none is given, encodes all pairs, and puts the training pairs into random order with
    those of more than ``length`` tokens on either side last. Takes some minutes and about 3 GB of memory.

    Raises:
      WorkloadError: a file is missing or damaged.
    """
    if (folder / PREPARED).is_dir():
        return
    for problem in _raw_problems(folder):
        raise problem.error()
    files = {split: _files(folder, split) for split in ("train", *_TESTS)}
    with new_folder(folder / PREPARED) as made:
        given = folder / _MODEL
        model = given.read_bytes() if given.exists() else _train_vocabulary(files["train"], vocabulary, characters)
        (made / _MODEL).write_bytes(model)
        codes = Vocabulary(given if given.exists() else made / _MODEL, vocabulary)
        manifest: dict[str, Any] = {"pairs": {}, "fitting": 0}
        for split, found in files.items():
            log.info("encoding the split %s of wmt", split)
            encoded = _encoded(found, codes)
            if split == "train":
                encoded, manifest["fitting"] = _shuffled(encoded, length)
            manifest["pairs"][split] = len(encoded[0][1])
            for name, (tokens, counts) in zip(SIDES, encoded, strict=True):
                np.save(made / f"{split}_{name}.npy", tokens)
                np.save(made / f"{split}_{name}_bounds.npy", np.concatenate(([0], np.cumsum(counts, dtype=np.int64))))
        manifest["raw"] = _raw_sizes(folder)
        manifest["files"] = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=1))


def _files(folder: Path, split: str) -> list[Files]:
    """Pairs of German and English files, whether they are there or not."""
    if split == "train":
        found = listed(folder / "training", "*.de")
        return [(path, path.with_suffix(".en")) for path in found or [folder / "train.de"]]
    plain, sgml = _TESTS[split]
    marked = [folder / f"{name}.sgm" for name in sgml]
    if all(path.exists() for path in marked):
        return [(marked[0], marked[1])]
    return [(folder / f"{plain}.de", folder / f"{plain}.en")]


def _raw_sizes(folder: Path) -> dict[str, int]:
    """Bytes of the files that ``prepare`` reads, by their place in the folder; of those that are there."""
    paths = (path for split in ("train", *_TESTS) for files in _files(folder, split) for path in files)
    return {str(path.relative_to(folder)): path.stat().st_size for path in paths if path.is_file()}


def _changes(folder: Path, manifest: Mapping[str, Any]) -> list[Problem]:
    """Raw files that are other ones than those that were prepared; they may be gone."""
    given, used = folder / _MODEL, folder / PREPARED / _MODEL
    found = _raw_sizes(folder)
    changed = [folder / name for name, size in found.items() if manifest.get("raw", found).get(name) != size]
    changed += [given] if given.is_file() and checksum(given) != checksum(used) else []
    return [Problem(path, "is not what was prepared", _again(folder)) for path in changed]


def _raw_problems(folder: Path) -> list[Problem]:
    """Of what ``prepare`` reads: files that are missing or empty, and test sets that are damaged or not whole."""
    found = [p for files in _files(folder, "train") for path in files for p in file_problems(path, REMEDY)]
    return found + [p for split in _TESTS for p in _test_problems(_files(folder, split)[0], _TEST_PAIRS[split])]


def _test_problems(files: Files, expected: int) -> list[Problem]:
    if missing := [p for path in files for p in file_problems(path, REMEDY)]:
        return missing

    def count() -> None:
        found = sum(1 for _ in _whole([files]))
        if found != expected:
            what = f"has {found:,} pairs with {files[1].name} instead of {expected:,}"
            raise Problem(files[0], what, REMEDY).error()

    return problem_in(count)


def _whole(files: Sequence[Files]) -> Iterator[Pair]:
    """Pairs with both sides, file after file; a blank is a side, else AlgoPerf would count more pairs."""
    for source, target in files:
        yield from (pair for pair in pairs(source, target) if all(pair))


def _train_vocabulary(files: Sequence[Files], size: int, characters: int) -> bytes:
    """From pairs at equal distances, so that every corpus has its share."""
    log.info("training wmt's vocabulary of %s pieces", f"{size:,}")
    total = sum(path.stat().st_size for pair in files for path in pair)
    chosen = itertools.islice(_whole(files), 0, None, max(1, total // characters))
    return trained(itertools.chain.from_iterable(chosen), size, files[0][0])


Side = tuple[np.ndarray, np.ndarray]
"""Token ids of all sentences, and the number of tokens of each."""


def _encoded(files: Sequence[Files], codes: Vocabulary) -> list[Side]:
    tokens: list[list[np.ndarray]] = [[], []]
    counts: list[list[int]] = [[], []]
    found = _whole(files)
    while chunk := list(itertools.islice(found, _CHUNK)):
        for side, texts in enumerate(zip(*chunk, strict=True)):
            encoded = codes.encode(texts)
            tokens[side].append(np.concatenate(encoded))
            counts[side] += map(len, encoded)
    if not counts[0]:
        raise Problem(files[0][0], "holds no pair with both sides", REMEDY).error()
    return [(np.concatenate(t), np.array(c, np.int64)) for t, c in zip(tokens, counts, strict=True)]


def _shuffled(sides: Sequence[Side], length: int) -> tuple[list[Side], int]:
    """In one random order, except that pairs of more than ``length`` tokens come last; and how many come before."""
    order = np.random.RandomState(_ORDER_SEED).permutation(len(sides[0][1]))
    fits = np.all([counts <= length for _, counts in sides], axis=0)[order]
    order = np.concatenate((order[fits], order[~fits]))
    moved = []
    for tokens, counts in sides:
        starts = np.cumsum(counts) - counts
        parts = [
            tokens[np.concatenate([np.arange(starts[i], starts[i] + counts[i]) for i in order[first : first + _CHUNK]])]
            for first in range(0, len(order), _CHUNK)
        ]
        moved.append((np.concatenate(parts), counts[order]))
    return moved, int(fits.sum())


@functools.lru_cache(maxsize=2)
def _vocabulary(path: Path, size: int) -> Vocabulary:
    return Vocabulary(path, size)


def _manifest(folder: Path) -> Mapping[str, Any]:
    return manifest_of(folder / PREPARED / _MANIFEST, {"files": dict, "pairs": dict, "fitting": int}, _again(folder))


def _again(folder: Path) -> str:
    return f"delete {folder / PREPARED}, and run `timetrial data prepare wmt` again"


def _side(folder: Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of a split's side, and where its sentences begin and end ``[n + 1]``."""
    files = (folder / PREPARED / f"{split}_{name}{kind}.npy" for kind in ("", "_bounds"))
    tokens, bounds = (saved_array(file, _again(folder), mapped=True) for file in files)
    return tokens, bounds
