"""The reader of Criteo's click logs, on small shards in their form: whole, cut short, malformed, changed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from harness.datasets import prepare_data
from harness.spec import WorkloadError
from workloads.criteo1tb import reader
from workloads.criteo1tb.hashing import COLUMN_SIZES, table_rows
from workloads.criteo1tb.workload import WORKLOAD
from workloads.real_data import DataError

VOCABULARY = 1_000
STEP = 8
SHARDS = {(day, number): 20 + day for day in range(24) for number in range(2 if day < 23 else 21)}
COUNTS = {
    "train": sum(n for (day, _), n in SHARDS.items() if day < 23),
    "validation": sum(n for (day, number), n in SHARDS.items() if day == 23 and number >= 19),
    "test": sum(n for (day, number), n in SHARDS.items() if day == 23 and number < 19),
}
FULL = WORKLOAD.settings["full"]
SETTINGS = dataclasses.replace(
    FULL,
    model={**FULL.model, "vocabulary": VOCABULARY, "embedding": 4, "bottom": (8, 4), "top": (8, 1)},
    splits={**COUNTS, "eval_train": 100},
    batch_size=64,
    eval_batch_size=70,
    shuffle_run=16,
)


@pytest.fixture(autouse=True)
def short_steps(monkeypatch):
    """So that small shards have several steps in their indices."""
    monkeypatch.setattr(reader, "STEP", STEP)


def random_line(random):
    """Label, counts and codes, with None where something is missing; not the last code, see :func:`raw`."""
    counts = [None if random.rand() < 0.2 else int(random.randint(-2, 3_000_000)) for _ in range(13)]
    codes = [None if random.rand() < 0.1 else int(random.randint(0, 2**32, dtype=np.uint64)) for _ in range(25)]
    codes.append(int(random.randint(0, 2**32, dtype=np.uint64)))
    return int(random.randint(2)), counts, codes


def text_of(rows, end="\n"):
    def line(label, counts, codes):
        fields = [label, *("" if c is None else c for c in counts), *("" if c is None else f"{c:08x}" for c in codes)]
        return "\t".join(map(str, fields))

    return "\n".join(line(*row) for row in rows) + end


@pytest.fixture
def rows():
    random = np.random.RandomState(0)
    return {shard: [random_line(random) for _ in range(count)] for shard, count in SHARDS.items()}


@pytest.fixture
def raw(tmp_path, rows):
    """Shards as they come; half of them do not end their last line, which then has to have its last code."""
    folder = tmp_path / "criteo1tb"
    folder.mkdir()
    for (day, number), lines in rows.items():
        (folder / f"day_{day}_{number:02d}").write_text(text_of(lines, "\n" if number % 2 else ""))
    return folder


@pytest.fixture
def folder(raw):
    reader.prepare(raw)
    return raw


def mixed(code, column):
    """SplitMix64's output function in Python's own integers."""
    mask = 2**64 - 1
    x = ((column << 32 | code) + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
    return x ^ x >> 31


def expected_inputs(row):
    _, counts, codes = row
    logs = [math.log1p(max(c or 0, 0)) for c in counts]
    return logs + [mixed(c or 0, i) % COLUMN_SIZES[i] % VOCABULARY for i, c in enumerate(codes)]


def of_split(rows, split):
    chosen = {"train": lambda d, n: d < 23, "validation": lambda d, n: d == 23 and n >= 19,
              "test": lambda d, n: d == 23 and n < 19}[split]  # fmt: skip
    return [row for shard in sorted(rows) if chosen(*shard) for row in rows[shard]]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_any_lines_of_a_split_are_read_in_any_order(folder, rows, split):
    found, expected = reader.load_split(folder, split, SETTINGS), of_split(rows, split)
    assert len(found["inputs"]) == len(found["targets"]) == len(expected) == COUNTS[split]
    random = np.random.RandomState(1)
    picks = [np.arange(len(expected)), random.randint(0, len(expected), 50), np.array([5]), np.array([], np.int64)]
    for positions in picks:
        inputs, targets = found["inputs"][positions], found["targets"][positions]
        assert inputs.dtype == targets.dtype == np.float32
        assert inputs.shape == (len(positions), 39) and targets.shape == (len(positions), 1)
        for place, position in enumerate(positions):
            np.testing.assert_allclose(inputs[place], expected_inputs(expected[position]), rtol=1e-6)
            assert targets[place, 0] == expected[position][0]


def test_only_the_wanted_part_of_a_shard_is_read(folder, monkeypatch):
    seen = []
    parse = reader.lines.parse
    monkeypatch.setattr(reader.lines, "parse", lambda text, *rest: seen.append(text.count(b"\n")) or parse(text, *rest))
    found = reader.load_split(folder, "train", SETTINGS)
    found["inputs"][np.array([3, 4, 5])]
    found["targets"][np.array([3, 4, 5])]
    assert seen == [3]
    found["inputs"][np.array([700, 1, 300])]
    assert seen == [3, 1, 1, 1]


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_full_scale_trains_and_evaluates_on_shards(folder, monkeypatch, train_at_full_scale, framework):
    monkeypatch.setitem(WORKLOAD.settings, "full", SETTINGS)
    outcome, row = train_at_full_scale("criteo1tb", folder.parent, framework)
    assert (outcome.steps, outcome.batch_size) == (3, 64)
    assert 0.6 < row["validation/loss"] < 50 and 0.6 < row["test/loss"] < 50  # labels are coin tosses


def test_hashing_spreads_codes_evenly_over_the_table_and_by_column():
    codes = np.random.RandomState(0).randint(0, 2**32, (200_000, 26), dtype=np.uint64).astype(np.uint32)
    found = table_rows(codes, 64)
    assert found.min() == 0 and found.max() == 63
    wide = [i for i, size in enumerate(COLUMN_SIZES) if size > 100_000]
    for i in wide:  # chi square with 63 degrees of freedom: mean 63, deviation 11
        counts = np.bincount(found[:, i], minlength=64)
        assert ((counts - 3125) ** 2 / 3125).sum() < 63 + 6 * 11
    same = table_rows(np.full((1, 26), 77, np.uint32), 4_194_304)[0]
    assert len(set(same[wide])) == len(wide)
    assert all(table_rows(codes, 4_194_304)[:, i].max() < size for i, size in enumerate(COLUMN_SIZES))


def test_it_is_ready_once_indexed_and_a_second_call_reads_nothing(raw, monkeypatch):
    assert {problem.what for problem in reader.check(raw)} == {"is not indexed yet"}
    reader.prepare(raw)
    assert reader.check(raw) == [] and reader.sizes(raw, SETTINGS) == COUNTS
    monkeypatch.setattr(reader, "_line_starts", lambda path: pytest.fail("read again"))
    reader.prepare(raw)


def test_a_changed_shard_is_noticed_and_indexed_again(folder, rows):
    path = folder / "day_3_01"
    path.write_text(text_of(rows[(3, 1)][:-3]))
    assert [(p.file, p.what) for p in reader.check(folder)] == [(path, "has changed since it was indexed")]
    reader.prepare(folder)
    assert reader.check(folder) == [] and reader.sizes(folder, SETTINGS)["train"] == COUNTS["train"] - 3
    same_size = path.read_text()
    path.write_text(same_size[:-1].replace("\n", "0") + "\n")
    with pytest.raises(DataError, match="day_3_01: has changed since it was indexed; delete"):
        reader.load_split(folder, "train", SETTINGS)["inputs"][np.arange(COUNTS["train"] - 3)]


def test_missing_shards_and_days_are_named(folder):
    for name in ("day_23_04", "day_5_00", "day_7_00", "day_7_01"):
        (folder / name).unlink()
    assert [p.file.name for p in reader.check(folder)] == ["day_5_00", "day_7_00", "day_23_04"]
    assert all("cut it into shards again" in p.remedy for p in reader.check(folder))


def test_a_damaged_index_is_made_again(folder, damage):
    path = folder / "index" / "day_0_00.npy"
    damage(path)
    assert [p.remedy for p in reader.check(folder)] or damage.__name__ == "_corrupt"
    reader.prepare(folder)
    assert reader.check(folder) == []


def npz(path):
    with path.open("wb") as file:
        np.savez(file, a=1)


@pytest.mark.parametrize(
    "write",
    [npz, lambda path: np.save(path, np.zeros(0, np.int64)), lambda path: np.save(path, np.zeros(5))],
    ids=["npz", "empty", "float"],
)
def test_what_is_no_index_is_told_and_made_again(folder, write):
    path = folder / "index" / "day_0_00.npy"
    write(path)
    (problem,) = reader.check(folder)
    assert problem.file == path and "data prepare criteo1tb" in problem.remedy
    reader.prepare(folder)
    assert reader.check(folder) == []


def test_two_may_prepare_at_once(raw, monkeypatch):
    first, inner = reader._line_starts, []

    def interrupted(path):
        if not inner:
            inner.append(path)
            reader.prepare(raw)
        return first(path)

    monkeypatch.setattr(reader, "_line_starts", interrupted)
    reader.prepare(raw)
    assert reader.check(raw) == [] and len(list((raw / "index").iterdir())) == len(SHARDS)


def test_a_file_in_the_place_of_the_index_is_told(raw):
    (raw / "index").write_text("")
    with pytest.raises(DataError, match="criteo1tb/index: .*File exists.*; move it away"):
        prepare_data("criteo1tb", raw.parent)


@pytest.mark.parametrize(("cut", "line"), [(30, 22), (400, 21)])
def test_a_shard_cut_short_is_told_with_its_line_when_it_is_indexed(raw, cut, line):
    path = raw / "day_2_01"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=rf"day_2_01:{line}: has \d+ fields instead of 40; unpack"):
        reader.prepare(raw)


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_a_shard_that_broke_off_within_its_last_code_is_told_when_it_is_indexed(raw, rows, cut):
    path = raw / "day_2_00"
    label, counts, codes = rows[(2, 0)][-1]
    path.write_text(text_of([*rows[(2, 0)][:-1], (label, counts, [*codes[:-1], 0xABCDEF01])], "")[:-cut])
    what = f"field 40 is '{'abcdef01'[:-cut]}', not 8 hexadecimal digits" if cut < 8 else "ends behind a tab"
    with pytest.raises(DataError, match=f"day_2_00:22: {what}; unpack"):
        reader.prepare(raw)
    assert {problem.file: problem.what for problem in reader.check(raw)}[path] == "is not indexed yet"


def test_a_newline_ends_a_last_line_whatever_it_misses(raw, rows):
    label, counts, codes = rows[(2, 0)][-1]
    (raw / "day_2_00").write_text(text_of([*rows[(2, 0)][:-1], (label, counts, [*codes[:-1], None])]))
    reader.prepare(raw)
    assert reader.check(raw) == []


def test_lines_may_end_with_a_carriage_return_too(raw, rows):
    text = text_of(rows[(0, 0)]).replace("\n", "\r\n")
    (raw / "day_0_00").write_bytes(text.encode())
    reader.prepare(raw)
    inputs = reader.load_split(raw, "train", SETTINGS)["inputs"][np.arange(len(rows[(0, 0)]))]
    np.testing.assert_allclose(inputs, [expected_inputs(row) for row in rows[(0, 0)]], rtol=1e-6)


def with_field(path, line, field, content):
    """Puts ``content`` in the place of one field of a shard; both count from 0."""
    text = [row.split("\t") for row in path.read_text().split("\n")]
    text[line][field] = content
    path.write_text("\n".join("\t".join(fields) for fields in text))


@pytest.mark.parametrize("piece", [1 << 20, 100])
@pytest.mark.parametrize("line", [2, 17, 23])
@pytest.mark.parametrize(
    ("field", "content", "message"),
    [
        (0, "x", "field 1 is 'x', no label 0 or 1"),
        (3, "1.5", "field 4 is '1.5', no integer"),
        (13, "xx", "field 14 is 'xx', no integer"),
        (5, "\0\0", r"field 6 is '.x00.x00', no integer"),
        (14, "0badc0dg", "field 15 is '0badc0dg', not 8 hexadecimal digits"),
        (39, "é", "field 40 is '.*', not 8 hexadecimal digits"),
    ],
)
def test_what_is_in_no_label_count_or_code_is_told_when_it_is_indexed(
    raw, monkeypatch, piece, line, field, content, message
):
    monkeypatch.setattr(reader, "_PIECE", piece)
    with_field(raw / "day_4_00", line, field, content)
    with pytest.raises(DataError, match=f"day_4_00:{line + 1}: {message}; unpack"):
        reader.prepare(raw)


@pytest.mark.parametrize(
    ("field", "content", "message"),
    [
        (0, "2", "field 1 is '2', no label 0 or 1"),
        (0, "", "field 1 is '', no label"),
        (3, "1-5", "field 4 is '1-5', no integer"),
        (13, "ab", "field 14 is 'ab', no integer"),
        (14, "0badc0d-", "field 15 is '0badc0d-', not 8 hexadecimal digits"),
        (39, "abc", "field 40 is 'abc', not 8 hexadecimal digits"),
    ],
)
def test_a_line_malformed_in_its_order_alone_is_told_with_its_number_when_it_is_read(
    raw, rows, field, content, message
):
    with_field(raw / "day_4_00", 12, field, content)
    reader.prepare(raw)
    inputs = reader.load_split(raw, "train", SETTINGS)["inputs"]
    before = sum(n for (day, _), n in SHARDS.items() if day < 4)
    inputs[np.arange(before, before + 12)]
    with pytest.raises(DataError, match=f"day_4_00:13: {message}"):
        inputs[np.arange(before, before + 24)]


def test_missing_data_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(WorkloadError, match="day_0_00: is missing"):
        (tmp_path / "criteo1tb").mkdir()
        WORKLOAD("base", "full", tmp_path).load_split("train")
