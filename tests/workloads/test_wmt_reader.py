"""WMT's parallel text in the form in which it is shipped: lines, SGML, vocabularies, damage."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pytest
import sentencepiece

from harness.spec import EvalBatch, WorkloadError
from workloads.real_data import DataError
from workloads.wmt import reader
from workloads.wmt.packing import SIDES
from workloads.wmt.text import sentences
from workloads.wmt.workload import WORKLOAD

PIECES, LENGTH = 90, 24
WHOLE_TEST_PAIRS = reader._TEST_PAIRS
TRAIN, NEWS = 400, {"newstest2013": 7, "newstest2014": 5}
GERMAN = "der Hund sieht eine Katze und geht über die Straße nach Hause während es regnet"
ENGLISH = "the dog sees a cat and walks home across the road while it rains"


def drawn(random, words):
    return " ".join(random.choice(words.split(), random.randint(2, 9))) + random.choice([".", "?", " – 12%"])


def texts(seed, count):
    random = np.random.RandomState(seed)
    return [(f"{i} {drawn(random, GERMAN)}", f"{i} {drawn(random, ENGLISH)}") for i in range(count)]


def write_lines(folder, name, pairs):
    for side, language in enumerate(("de", "en")):
        (folder / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")


def write_sgml(folder, name, pairs, source, target):
    """As in WMT's archives: entities, attributes, several segments and documents."""
    for path, side, kind in ((source, 0, "srcset"), (target, 1, "refset")):
        marked = [pair[side].replace("&", "&amp;").replace("<", "&lt;") for pair in pairs]
        segments = "\n".join(f'<seg id="{i + 1}">{text}</seg>' for i, text in enumerate(marked))
        (folder / path).write_text(
            f'<{kind} setid="{name}" srclang="any">\n<doc sysid="ref" docid="a" genre="news">\n<p>\n{segments}\n</p>\n'
            f"</doc>\n</{kind}>\n",
            encoding="utf-8",
        )


def write_raw(folder):
    folder.mkdir(parents=True)
    train = texts(0, TRAIN)
    train[3] = ("", "no German")  # Europarl has such lines; they are no pair.
    train[7] = ("kein Englisch", "")
    train[13] = ("eine Katze", " ")  # A pair to AlgoPerf.
    train[9] = ("Hund " * 40, "dog")
    train[11] = ("der\u2028Hund\x0b sieht", "the\u2028dog sees")  # No ends of lines.
    write_lines(folder, "train", train)
    for seed, (name, count) in enumerate(NEWS.items(), start=1):
        write_lines(folder, name, texts(seed, count))
    return train


@pytest.fixture(scope="module", autouse=True)
def small_test_sets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_TEST_PAIRS", {"validation": 7, "test": 5})
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder ``wmt`` with raw and prepared data; not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "wmt"
    write_raw(folder)
    reader.prepare(folder, PIECES, LENGTH)
    return folder


@pytest.fixture
def raw(tmp_path):
    write_raw(tmp_path / "wmt")
    return tmp_path / "wmt"


@pytest.fixture
def full(prepared):
    """The workload at full scale on the small data."""
    workload = WORKLOAD("base", "full", prepared.parent)
    splits = {"train": TRAIN - 2, "eval_train": 20, "validation": 7, "test": 5}
    workload.base_settings = dataclasses.replace(workload.base_settings, data={"length": LENGTH}, splits=splits)
    return workload


def read(folder, split, settings=None):
    arrays = reader.load_split(folder, split, settings or WORKLOAD.settings["full"])
    return {name: array[np.arange(len(array))] for name, array in arrays.items()}


def text_of(folder, rows):
    return reader.decoded_text(folder, [row[: row.index(2)] for row in rows.tolist()], PIECES)


def test_prepared_text_is_what_was_written(prepared):
    assert reader.check(prepared) == []
    assert reader.sizes(prepared, WORKLOAD.settings["full"]) == {"train": TRAIN - 2, "validation": 7, "test": 5}
    for seed, (split, count) in enumerate((("validation", 7), ("test", 5)), start=1):
        arrays = read(prepared, split)
        assert arrays["inputs"].shape == arrays["targets"].shape == (count, 256)
        assert arrays["inputs"].dtype == np.int32 and arrays["inputs"].max() < PIECES
        decoded = zip(*(text_of(prepared, arrays[name]) for name in SIDES), strict=True)
        assert list(decoded) == texts(seed, count)


def test_training_pairs_keep_together_in_another_order_without_empty_sides_and_long_ones_last(prepared):
    arrays = read(prepared, "train")
    found = list(zip(*(text_of(prepared, arrays[name]) for name in SIDES), strict=True))
    written = texts(0, TRAIN)
    short = {pair for i, pair in enumerate(written) if i not in (3, 7, 9, 11, 13)}
    assert len(found) == TRAIN - 2 and short <= set(found)
    assert ("der Hund sieht", "the dog sees") in found and ("eine Katze", "") in found
    assert [pair for pair in found if pair in short] != [pair for pair in written if pair in short]
    lengths = [max((arrays[name][i] != 0).sum() for name in SIDES) for i in range(len(found))]
    fits = [length <= LENGTH for length in lengths]
    assert fits == sorted(fits, reverse=True) and not fits[-1]


def test_rows_hold_whole_pairs_in_order_and_are_well_filled(prepared, full):
    rows, pairs = reader.packed_rows(prepared, LENGTH), read(prepared, "train")
    assert len(rows["inputs"]) == len(rows["targets"]) < TRAIN / 1.5
    arrays = {name: array[np.arange(len(array))] for name, array in rows.items()}
    for name in SIDES:
        assert arrays[name].shape[1] == LENGTH
        kept = [row for i, row in enumerate(pairs[name]) if all((pairs[n][i] != 0).sum() <= LENGTH for n in SIDES)]
        flat = np.concatenate([row[row != 0] for row in kept])
        np.testing.assert_array_equal(arrays[name][arrays[name] != 0], flat)
        assert (arrays[name] != 0).mean() > 0.6
    batch = full.collate({name: array[:9] for name, array in arrays.items()})
    assert batch["inputs_segmentation"].max() > 1
    np.testing.assert_array_equal(batch["inputs_segmentation"].max(1), batch["targets_segmentation"].max(1))


def test_the_workload_trains_on_rows_and_evaluates_on_pairs(full):
    assert len(full.load_split("train")["targets"]) < TRAIN / 1.5
    assert {s: len(full.load_split(s)["targets"]) for s in ("eval_train", "validation", "test")} == {
        "eval_train": 20,
        "validation": 7,
        "test": 5,
    }
    pair = full.load_split("validation")["inputs"][np.arange(3)]
    assert ((pair == 2).sum(axis=1) == 1).all()


def test_the_reference_translates_to_a_perfect_score(full):
    arrays = {name: array[np.arange(7)] for name, array in full.load_split("validation").items()}
    batch = full.collate(arrays)
    metrics = full.evaluate([EvalBatch(batch, 6.0, 3.0, lambda: None, lambda: batch["targets"])])
    assert metrics == {"bleu": pytest.approx(100.0), "loss": 2.0}


def test_preparing_again_does_nothing(prepared):
    before = {path: path.stat().st_mtime_ns for path in (prepared / "prepared").iterdir()}
    reader.prepare(prepared, PIECES, LENGTH)
    assert before == {path: path.stat().st_mtime_ns for path in (prepared / "prepared").iterdir()}


def test_sgml_and_a_folder_of_corpora_are_the_same_data(raw, prepared):
    for seed, (name, middle) in enumerate((("newstest2013", ""), ("newstest2014", "-deen")), start=1):
        for language in ("de", "en"):
            (raw / f"{name}.{language}").unlink()
        write_sgml(raw, name, texts(seed, NEWS[name]), f"{name}{middle}-src.de.sgm", f"{name}{middle}-ref.en.sgm")
    (raw / "training").mkdir()
    for language in ("de", "en"):
        lines = (raw / f"train.{language}").read_bytes().split(b"\n")
        (raw / "training" / f"a-v7.de-en.{language}").write_bytes(b"\n".join(lines[:100]) + b"\n")
        (raw / "training" / f"b.de-en.{language}").write_bytes(b"\n".join(lines[100:]))
        (raw / f"train.{language}").unlink()
    shutil.copy(prepared / "prepared" / "sentencepiece.model", raw)
    reader.prepare(raw, PIECES, LENGTH)
    for split in ("train", "validation", "test"):
        for name, array in read(raw, split).items():
            np.testing.assert_array_equal(array, read(prepared, split)[name])


def with_carriage_returns(path):
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def with_a_mark(path):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


@pytest.mark.parametrize("change", [with_carriage_returns, with_a_mark])
def test_carriage_returns_and_a_byte_order_mark_are_no_text(raw, prepared, change):
    before = {path: list(sentences(path)) for path in raw.glob("*.??")}
    for path in before:
        change(path)
    assert {path: list(sentences(path)) for path in before} == before
    reader.prepare(raw, PIECES, LENGTH)
    assert reader.sizes(raw, WORKLOAD.settings["full"])["train"] == TRAIN - 2
    for split in ("train", "validation"):
        for name, array in read(raw, split).items():
            np.testing.assert_array_equal(array, read(prepared, split)[name])


def test_a_single_carriage_return_or_zero_byte_is_text(tmp_path):
    (tmp_path / "x").write_bytes(b"a\nb\r\n\r\nc\0d\n")
    assert list(sentences(tmp_path / "x")) == ["a", "b\r", "\r", "c\0d"]


def test_hidden_files_among_the_corpora_are_none(raw):
    (raw / "training").mkdir()
    for language in ("de", "en"):
        (raw / f"train.{language}").rename(raw / "training" / f"a.{language}")
        (raw / "training" / f"._a.{language}").write_bytes(b"\0\5\x16\7")
    reader.prepare(raw, PIECES, LENGTH)
    assert reader.sizes(raw, WORKLOAD.settings["full"])["train"] == TRAIN - 2


def test_other_raw_files_than_those_prepared_are_noticed_and_missing_ones_are_not_needed(raw):
    reader.prepare(raw, PIECES, LENGTH)
    assert reader.check(raw) == []
    with (raw / "train.de").open("a") as file:
        file.write("neu\n")
    shutil.copy(raw / "newstest2013.de", raw / "sentencepiece.model")
    told = [str(problem) for problem in reader.check(raw)]
    assert [line.split(": ")[0] for line in told] == [str(raw / "train.de"), str(raw / "sentencepiece.model")]
    assert all(f"is not what was prepared; delete {raw / 'prepared'}" in line for line in told)
    for path in (*raw.glob("*.??"), raw / "sentencepiece.model"):
        path.unlink()
    assert reader.check(raw) == []


def test_a_corpus_added_after_preparation_is_noticed(raw):
    reader.prepare(raw, PIECES, LENGTH)
    (raw / "training").mkdir()
    write_lines(raw / "training", "new", texts(5, 3))
    assert [problem.file.name for problem in reader.check(raw)] == ["new.de", "new.en"]


def test_entities_of_sgml_are_characters(tmp_path):
    write_sgml(tmp_path, "x", [("Müller & Söhne < 3", "b")], "a.sgm", "b.sgm")
    assert list(sentences(tmp_path / "a.sgm")) == ["Müller & Söhne < 3"]


def vocabulary_of(folder, **options):
    model = io.BytesIO()
    lines = (folder / "train.de").read_text(encoding="utf-8").split("\n")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=60, minloglevel=2, **options
    )
    (folder / "sentencepiece.model").write_bytes(model.getvalue())


def test_a_given_vocabulary_is_taken_and_its_unknown_pieces_are_no_padding(raw):
    vocabulary_of(raw)  # The library's own ids: unknown 0, start 1, end 2.
    reader.prepare(raw, PIECES, LENGTH)
    arrays = read(raw, "validation")
    inside = np.cumsum(arrays["targets"] == 2, axis=1) == 0
    assert (arrays["targets"][inside] != 0).all()
    assert (arrays["targets"][inside] == 1).any(), "English letters that German text lacks"


@pytest.mark.parametrize(
    ("options", "match"),
    [({"eos_id": 1, "bos_id": 2}, "its end of sentence has the id 1; 2 is needed"),
     ({"vocab_size": 95, "hard_vocab_limit": False}, None)],
)  # fmt: skip
def test_a_vocabulary_that_does_not_fit_is_refused(raw, options, match):
    if match is None:
        vocabulary_of(raw)
        with pytest.raises(WorkloadError, match="has 60 pieces, the model takes 50"):
            reader.prepare(raw, 50, LENGTH)
        return
    vocabulary_of(raw, **options)
    with pytest.raises(WorkloadError, match=match):
        reader.prepare(raw, PIECES, LENGTH)
    assert not (raw / "prepared").exists()


def cut_last_line(path):
    path.write_bytes(path.read_bytes()[:-4])


def drop_a_line(path):
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[1:]))


def hole(path):
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(50) + content[150:])


def break_utf8(path):
    path.write_bytes(path.read_bytes().replace(b"1 ", b"1\xff ", 1))


DAMAGE = [
    ("train.de", cut_last_line, r"train.de:400: the last line is cut short"),
    ("train.en", drop_a_line, r"train.en: ends after 399 sentences, train.de goes on"),
    ("newstest2013.de", break_utf8, r"newstest2013.de:2: is not UTF-8"),
    ("newstest2014.en", lambda path: path.unlink(), r"newstest2014.en: is missing"),
    ("train.de", lambda path: path.write_bytes(b""), r"train.de: has 0 bytes"),
    ("train.en", hole, r"train.en:\d: has a hole, 50 zero bytes in this line"),
    ("sentencepiece.model", lambda path: path.write_bytes(b"junk"), r"sentencepiece.model: is no SentencePiece model"),
]


def test_what_is_wrong_with_the_text_is_told_also_where_the_vocabulary_is_being_trained(raw):
    drop_a_line(raw / "train.en")
    with pytest.raises(DataError, match=r"^\S*train.en: ends after 399 sentences, train.de goes on; unpack the WMT"):
        reader.prepare(raw, PIECES, LENGTH)


@pytest.mark.parametrize(("file", "damage", "match"), DAMAGE, ids=[case[2][:40] for case in DAMAGE])
def test_damage_is_named_and_nothing_half_made_stays(raw, file, damage, match):
    damage(raw / file)
    with pytest.raises(WorkloadError, match=match):
        reader.prepare(raw, PIECES, LENGTH)
    assert not (raw / "prepared").exists() and not list(raw.glob(".making-*"))


def test_too_little_text_for_the_vocabulary_is_an_error(raw):
    with pytest.raises(WorkloadError, match="is not enough text for a vocabulary of 32,000 pieces"):
        reader.prepare(raw)


def test_a_segment_that_is_cut_off_is_named(tmp_path):
    (tmp_path / "x.sgm").write_text('<doc>\n<seg id="1">whole</seg>\n<seg id="2">cut')
    with pytest.raises(WorkloadError, match="x.sgm: 2 segments begin and 1 are whole"):
        list(sentences(tmp_path / "x.sgm"))


def test_raw_data_without_preparation_is_a_problem_with_the_remedy(raw):
    (problem,) = reader.check(raw)
    assert "timetrial data prepare wmt" in problem.remedy


def test_every_problem_of_raw_data_is_listed_and_test_sets_are_counted(raw):
    write_lines(raw, "newstest2013", texts(1, 1))
    drop_a_line(raw / "newstest2014.en")
    (raw / "train.en").unlink()
    told = [f"{problem.file.name} {problem.what}" for problem in reader.check(raw)]
    assert told == [
        "train.en is missing",
        "newstest2013.de has 1 pairs with newstest2013.en instead of 7",
        "newstest2014.en ends after 4 sentences, newstest2014.de goes on",
    ]


def test_the_test_sets_are_counted_by_what_the_full_scale_expects():
    expected = {split: WORKLOAD.settings["full"].splits[split] for split in ("validation", "test")}
    assert expected == WHOLE_TEST_PAIRS


def test_prepared_files_that_are_cut_short_are_named(raw):
    reader.prepare(raw, PIECES, LENGTH)
    path = raw / "prepared" / "train_inputs.npy"
    path.write_bytes(path.read_bytes()[:-10])
    (problem,) = reader.check(raw)
    assert problem.file == path and "bytes instead of" in problem.what
    (raw / "prepared" / "manifest.json").write_text("{")
    assert [p.file.name for p in reader.check(raw)] == ["manifest.json"]


@pytest.mark.parametrize("content", ["[]", '{"files": {}}', '{"files": {}, "pairs": [], "fitting": 1}'])
def test_a_manifest_of_another_form_is_named(raw, content):
    reader.prepare(raw, PIECES, LENGTH)
    (raw / "prepared" / "manifest.json").write_text(content)
    (problem,) = reader.check(raw)
    assert problem.file.name == "manifest.json" and "run `timetrial data prepare wmt` again" in problem.remedy
    with pytest.raises(DataError, match="manifest.json: cannot be read"):
        reader.sizes(raw, WORKLOAD.settings["full"])


def test_a_damaged_array_of_the_right_size_is_named_when_it_is_read(raw):
    reader.prepare(raw, PIECES, LENGTH)
    path = raw / "prepared" / "test_inputs_bounds.npy"
    path.write_bytes(b"xxxxxx" + path.read_bytes()[6:])
    assert reader.check(raw) == []
    with pytest.raises(DataError, match=f"{path}: cannot be read .*; delete"):
        reader.load_split(raw, "test", WORKLOAD.settings["full"])


def test_resampling_plans_are_for_the_mini_scale(full):
    full.resampling = object()
    with pytest.raises(WorkloadError, match="rows of several pairs"):
        full.examples("train")
