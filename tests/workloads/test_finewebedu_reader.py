"""The reader of FineWeb-Edu, on small parquet files and byte pairs in GPT-2's form."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from workloads.finewebedu_lm import reader
from workloads.finewebedu_lm.workload import WORKLOAD
from workloads.real_data import DataError

LENGTH = 16
END = "<|endoftext|>"
WORDS = [
    "the",
    "a",
    "of",
    "and",
    "school",
    "river",
    "water",
    "history",
    "children",
    "science's",
    "études",
    "12",
    "1945",
]


@pytest.fixture(scope="module")
def documents():
    """Texts of three parquet files."""
    random = np.random.RandomState(0)

    def text():
        return " ".join(random.choice(WORDS, random.randint(3, 60))) + random.choice([".", "!\n", " ", ""])

    return {name: [text() for _ in range(n)] for name, n in (("000_0", 210), ("001_0", 90), ("002_0", 1))}


@pytest.fixture(scope="module")
def merges(documents):
    """Byte pairs by hand: the most frequent pair, forty times."""
    words = [list(piece) for text in documents["000_0"] for piece in pieces(text)]
    learned = []
    for _ in range(40):
        counts: dict = {}
        for word in words:
            for pair in itertools.pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = max(sorted(counts), key=counts.__getitem__)
        learned.append(best)
        words = [merged(word, best) for word in words]
    return learned


def pieces(text):
    """GPT-2's words, as bytes in its printable alphabet (for text without exotic letters)."""
    table = byte_alphabet()
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?[^\s\w]+|\s+(?!\S)|\s+"
    return ["".join(table[b] for b in piece.encode()) for piece in re.findall(pattern, text)]


def byte_alphabet():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def merged(word, pair):
    out = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return out


@pytest.fixture(scope="module")
def vocabulary(merges):
    symbols = [*byte_alphabet().values(), *(a + b for a, b in merges), END]
    return {symbol: i for i, symbol in enumerate(dict.fromkeys(symbols))}


@pytest.fixture
def folder(tmp_path, documents, vocabulary, merges):
    folder = tmp_path / "finewebedu_lm"
    (folder / "sample").mkdir(parents=True)
    for name, texts in documents.items():
        table = pyarrow.table({"id": [f"{name}-{i}" for i in range(len(texts))], "text": texts})
        parquet.write_table(table, folder / "sample" / f"{name}.parquet", row_group_size=50)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return folder


@pytest.fixture
def settings(documents, vocabulary, merges):
    full = WORKLOAD.settings["full"]
    rows = {split: len(expected_rows(documents, vocabulary, merges, split)) for split in ("train", "validation")}
    small = {"vocabulary": len(vocabulary), "features": 16, "heads": 2, "layers": 1, "hidden": 16, "length": LENGTH}
    return dataclasses.replace(
        full,
        model={**full.model, **small},
        data={"length": LENGTH},
        splits={**rows, "eval_train": 5, "test": 0},
        batch_size=4,
        eval_batch_size=8,
    )


def encoded(text, vocabulary, merges):
    """Byte pairs by hand, in the order in which they were learned."""
    ids = []
    for piece in pieces(text):
        word = list(piece)
        for pair in merges:
            word = merged(word, pair)
        ids += [vocabulary[symbol] for symbol in word]
    return [*ids, vocabulary[END]]


def expected_rows(documents, vocabulary, merges, split):
    rows = []
    for texts in documents.values():
        chosen = [text for i, text in enumerate(texts) if (i % 50 == 0) == (split == "validation")]
        stream = [token for text in chosen for token in encoded(text, vocabulary, merges)]
        rows += [stream[i : i + LENGTH + 1] for i in range(0, len(stream) - LENGTH, LENGTH + 1)]
    return rows


def test_rows_are_those_of_byte_pairs_by_hand(folder, settings, documents, vocabulary, merges):
    reader.prepare(folder)
    assert reader.check(folder) == []
    assert reader.sizes(folder, settings) == {split: settings.splits[split] for split in ("train", "validation")}
    for split in ("train", "validation"):
        found, expected = (
            reader.load_split(folder, split, settings),
            expected_rows(documents, vocabulary, merges, split),
        )
        order = np.random.RandomState(1).permutation(len(expected))
        inputs, targets = found["inputs"][order], found["targets"][order]
        assert inputs.dtype == targets.dtype == np.int32
        np.testing.assert_array_equal(inputs, np.array(expected)[order, :-1])
        np.testing.assert_array_equal(targets, np.array(expected)[order, 1:])
    assert len(reader.load_split(folder, "test", settings)["targets"]) == 0


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_full_scale_trains_and_evaluates_on_them(folder, settings, monkeypatch, train_at_full_scale, framework):
    reader.prepare(folder)
    monkeypatch.setitem(WORKLOAD.settings, "full", settings)
    outcome, row = train_at_full_scale("finewebedu_lm", folder.parent, framework)
    assert (outcome.steps, outcome.batch_size) == (3, 4)
    assert 5 < row["validation/ppl"] < 10 * len(WORDS) ** 2
    assert not any(key.startswith("test/") for key in row)


def test_more_text_than_needed_is_cut_and_less_is_a_problem(folder, settings, monkeypatch):
    reader.prepare(folder)
    fewer = {**settings.splits, "train": 50}
    assert reader.sizes(folder, dataclasses.replace(settings, splits=fewer))["train"] == 50
    assert len(reader.load_split(folder, "train", dataclasses.replace(settings, splits=fewer))["targets"]) == 50
    more = {**settings.splits, "train": 10**6}
    assert reader.sizes(folder, dataclasses.replace(settings, splits=more))["train"] < 10**6


def test_what_is_encoded_is_kept_and_only_new_files_are_read(folder, documents, monkeypatch):
    reader.prepare(folder)
    read = []
    write = reader._write_tokens
    monkeypatch.setattr(reader, "_write_tokens", lambda source, *rest: read.append(source.name) or write(source, *rest))
    reader.prepare(folder)
    assert read == []
    parquet.write_table(pyarrow.table({"text": documents["001_0"]}), folder / "late.parquet")
    assert [(p.file.name, p.what) for p in reader.check(folder)] == [("late.parquet", "is not encoded yet")]
    reader.prepare(folder)
    assert read == ["late.parquet"] and reader.check(folder) == []


def test_an_interrupted_conversion_leaves_nothing_that_looks_finished(folder, monkeypatch):
    monkeypatch.setattr(reader.json, "dumps", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        reader.prepare(folder)
    assert list((folder / "tokens").iterdir()) == []


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt", "sample/000_0.parquet"])
def test_missing_files_are_named(folder, file):
    reader.prepare(folder)
    (folder / file).unlink()
    if file.endswith("parquet"):
        for path in (folder / "sample").iterdir():
            path.unlink()
        assert [(p.file, p.what) for p in reader.check(folder)] == [(folder, "holds no parquet file")]
    else:
        assert [(p.file.name, p.what) for p in reader.check(folder)] == [(file, "is missing")]
    with pytest.raises(DataError):
        reader.prepare(folder)


def test_a_damaged_parquet_file_is_named_with_the_remedy(folder, damage):
    path = folder / "sample" / "001_0.parquet"
    damage(path)
    if not path.exists():
        pytest.skip("a smaller number of files is noticed by the number of rows")
    if damage.__name__ == "_corrupt":
        path.write_bytes(path.read_bytes()[:200] + b"\xff" * (path.stat().st_size - 200))
    with pytest.raises(DataError, match=r"001_0\.parquet: not a whole parquet file .*; download this file again"):
        reader.prepare(folder)


def test_parquet_without_text_is_told(folder):
    path = folder / "sample" / "000_0.parquet"
    parquet.write_table(pyarrow.table({"content": ["x"]}), path)
    with pytest.raises(DataError, match=r"000_0\.parquet: has no column text \(it has content\)"):
        reader.prepare(folder)
    parquet.write_table(pyarrow.table({"text": ["x", None]}), path)
    with pytest.raises(DataError, match=r"000_0\.parquet: has a document without text \(near row 1\)"):
        reader.prepare(folder)


@pytest.mark.parametrize(("kind", "read"), [("binary", False), ("int64", False), ("large_string", True)])
def test_the_column_text_holds_text(folder, kind, read):
    path = folder / "sample" / "000_0.parquet"
    values = [1, 2] if kind == "int64" else [b"a school", b"a river"]
    parquet.write_table(pyarrow.table({"text": pyarrow.array(values).cast(kind)}), path)
    if read:
        reader.prepare(folder)
        return
    with pytest.raises(DataError, match=rf"000_0\.parquet: its column text holds {kind}, not text; download"):
        reader.prepare(folder)


def test_files_below_links_are_found_once_whatever_the_case_of_their_ending(folder, tmp_path):
    elsewhere = tmp_path / "disk"
    (elsewhere / "more").mkdir(parents=True)
    for name in ("002_0.parquet", "001_0.parquet"):
        (folder / "sample" / name).rename(elsewhere / "more" / name.replace("001_0.parquet", "001_0.PARQUET"))
    (elsewhere / "back").symlink_to(folder)
    (folder / "a_link").symlink_to(elsewhere)
    (folder / "a_second").symlink_to(folder / "sample")
    found = [str(path.relative_to(folder)) for path in reader._parquet(folder)]
    assert found == ["a_link/more/001_0.PARQUET", "a_link/more/002_0.parquet", "sample/000_0.parquet"]
    reader.prepare(folder)
    assert reader.check(folder) == []


def test_hidden_files_and_folders_are_none_of_the_data(folder):
    (folder / "sample" / "._000_0.parquet").write_bytes(b"\0\5\x16\7")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.parquet").write_bytes(b"x")
    reader.prepare(folder)
    assert reader.check(folder) == [] and len(list((folder / "tokens").iterdir())) == 3


def test_files_that_would_share_a_folder_of_tokens_are_told(folder, documents):
    parquet.write_table(pyarrow.table({"text": documents["001_0"]}), folder / "sample-000_0.parquet")
    (problem,) = [p for p in reader.check(folder) if "would share" in p.what]
    assert {problem.file.name, Path(problem.what.split()[-1]).name} == {"000_0.parquet", "sample-000_0.parquet"}
    with pytest.raises(DataError, match=r"would share \S*tokens/sample-000_0 with .*; rename one of them"):
        reader.prepare(folder)


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_damaged_byte_pairs_are_told(folder, file):
    (folder / file).write_text('{"half": ')
    assert [problem.file.name for problem in reader.check(folder) if "do not fit" in problem.what] == ["vocab.json"]
    with pytest.raises(DataError, match="vocab.json: vocab.json and merges.txt do not fit together"):
        reader.prepare(folder)


def test_byte_pairs_without_end_of_text_are_told(folder, vocabulary):
    (folder / "vocab.json").write_text(json.dumps({k: v for k, v in vocabulary.items() if k != END}))
    with pytest.raises(DataError, match=r"vocab.json: holds \d+ tokens, with or without <|endoftext|>"):
        reader.prepare(folder)


def test_more_tokens_than_the_model_knows_are_told(folder, settings):
    reader.prepare(folder)
    small = dataclasses.replace(settings, model={**settings.model, "vocabulary": 100})
    with pytest.raises(DataError, match="vocab.json: knows .* tokens, the model 100; use GPT-2's"):
        reader.load_split(folder, "train", small)


def test_other_byte_pairs_and_other_sources_than_encoded_are_noticed(folder, documents):
    reader.prepare(folder)
    parquet.write_table(pyarrow.table({"text": documents["000_0"]}), folder / "sample" / "001_0.parquet")
    assert [p.what for p in reader.check(folder)] == ["has changed since it was encoded"]
    with pytest.raises(DataError, match="001_0: was made from another file or is damaged; delete it, and run"):
        reader.prepare(folder)
    merges = (folder / "merges.txt").read_text().splitlines()
    (folder / "merges.txt").write_text("\n".join(merges[:-1]) + "\n")
    assert len(reader.check(folder)) == 3


@pytest.mark.parametrize("file", ["manifest.json", "train.bin", "validation.bin"])
def test_damaged_token_ids_are_told(folder, file, damage):
    reader.prepare(folder)
    path = folder / "tokens" / "sample-000_0" / file
    damage(path)
    if damage.__name__ == "_corrupt" and file.endswith("bin"):
        return  # of the same size; the ids are not digested
    assert [p.file for p in reader.check(folder)] == [path]
    assert "delete" in reader.check(folder)[0].remedy
