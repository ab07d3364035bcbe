"""LibriSpeech's trees of flac and transcripts, written here, whole and damaged."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import soundfile

from harness.spec import WorkloadError
from workloads.librispeech_conformer.workload import WORKLOAD
from workloads.real_data import file_errors, problems_of
from workloads.speech import librispeech
from workloads.speech.librispeech import SUBSETS, check, load_split, prepare, sizes
from workloads.speech.vocabulary import SentencePieces

PIECES = 40
SETTINGS = dataclasses.replace(
    WORKLOAD.settings["full"],
    model={**WORKLOAD.settings["full"].model, "classes": PIECES},
    splits={"train": 9, "eval_train": 2, "validation": 6, "test": 3},
)
TEXTS = (
    "CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "PACK MY BOX WITH FIVE DOZEN LIQUOR JUGS IT'S",
)


def tone(seconds, pitch):
    time = np.arange(int(16_000 * seconds)) / 16_000
    return np.rint(8_000 * np.sin(2 * np.pi * pitch * time)).astype(np.int16)


def write_chapter(subset, speaker, chapter, texts, seconds=0.2):
    """A chapter's folder; the audio of utterance i is a tone of (i + 1) * 100 Hz, a tenth longer each time."""
    folder = subset / speaker / chapter
    folder.mkdir(parents=True)
    names = [f"{speaker}-{chapter}-{i:04d}" for i in range(len(texts))]
    for i, name in enumerate(names):
        soundfile.write(folder / f"{name}.flac", tone(seconds * (1 + i / 10), 100 * (i + 1)), 16_000)
    lines = [f"{name} {text}\n" for name, text in zip(names, texts, strict=True)]
    (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def tree(tmp_path):
    """All subsets, each with one chapter of three utterances."""
    for i, name in enumerate(name for names in SUBSETS.values() for name in names):
        write_chapter(tmp_path / name, str(100 + i), "7", TEXTS)
    return tmp_path


@pytest.fixture
def chapter(tree):
    """The first chapter that ``prepare`` decodes, in the subset that the vocabulary is learned from."""
    return tree / "train-clean-100" / "100" / "7"


def test_what_was_written_is_read(tree):
    assert "is missing; run `timetrial data prepare" in str(check(tree)[0])
    prepare(tree, PIECES)
    assert check(tree) == []
    assert sizes(tree, SETTINGS) == {"train": 9, "validation": 6, "test": 3}
    vocabulary = SentencePieces.load(tree / "vocabulary.model", PIECES)
    for split, count in (("train", 9), ("validation", 6), ("test", 3)):
        arrays = load_split(tree, split, SETTINGS)
        assert len(arrays["targets"]) == len(arrays["inputs"]) == count
        chosen = np.array([2, 0, count - 1])
        inputs, lengths, targets = (arrays[name][chosen] for name in ("inputs", "lengths", "targets"))
        for row, utterance in enumerate(chosen % 3):
            expected = tone(0.2 * (1 + utterance / 10), 100 * (utterance + 1))
            assert lengths[row] == len(expected)
            np.testing.assert_array_equal(inputs[row, : len(expected)], expected)
            assert not inputs[row, len(expected) :].any()
            ids = targets[row][targets[row] > 0].tolist()
            assert vocabulary.decode(ids) == TEXTS[utterance]
            assert ids[-1] == 2 and ids[:-1] == vocabulary.encode(TEXTS[utterance])[:-1]


def test_the_workload_collates_and_decodes_it(tree, monkeypatch, tmp_path):
    monkeypatch.setattr(librispeech, "PIECES", PIECES)
    prepare(tree, PIECES)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "LibriSpeech").symlink_to(tree)
    workload = WORKLOAD("base", "full", data_dir)
    workload.base_settings = SETTINGS
    arrays = workload.load_split("train")
    stored = {name: array[np.array([1, 8])] for name, array in arrays.items()}
    batch = workload.collate(workload.augment(stored, np.random.RandomState(0)))
    audio, paddings = batch["inputs"]
    assert audio.shape == paddings.shape == (2, 320_000)
    assert (paddings == 0).sum(axis=1).tolist() == [3_520, 3_840]
    targets, target_paddings = batch["targets"]
    assert targets.shape == (2, 256)
    assert [workload.decode(t[p == 0].tolist()) for t, p in zip(targets, target_paddings, strict=True)] == list(
        TEXTS[1:]
    )
    assert len(workload.load_split("eval_train")["targets"]) == 2


def test_preparing_twice_changes_nothing_and_a_given_vocabulary_is_kept(tree, tmp_path):
    prepare(tree, PIECES)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.is_file()}
    prepare(tree, PIECES)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*") if path.is_file()} == before


def test_long_audio_and_long_transcripts_are_left_out(tree, chapter):
    long_text = " ".join(["THE QUICK BROWN FOX"] * 13)
    assert len(long_text) > 256
    write_chapter(tree / "dev-clean", "300", "1", ["THE DOG", long_text], seconds=0.1)
    write_chapter(tree / "dev-clean", "300", "2", ["THE LAZY DOG", "MY BOX"], seconds=18.9)  # the second: 20.8 s
    prepare(tree, PIECES)
    assert sizes(tree, SETTINGS)["validation"] == 6 + 2
    manifest = json.loads((tree / "prepared" / "dev-clean" / "manifest.json").read_text())
    assert (manifest["utterances"], manifest["left_out"]) == (5, 2)


def test_exactly_20_seconds_are_kept(tree):
    write_chapter(tree / "test-clean", "300", "1", ["THE DOG"], seconds=20.0)
    prepare(tree, PIECES)
    assert load_split(tree, "test", SETTINGS)["lengths"][np.arange(4)].max() == 320_000


# ---- what is wrong, where, and how to mend it ----


def resampled(chapter):
    path = chapter / "100-7-0001.flac"
    soundfile.write(path, tone(0.2, 100), 8_000)


def stereo(chapter):
    soundfile.write(chapter / "100-7-0001.flac", np.stack([tone(0.2, 100)] * 2, axis=1), 16_000)


def cut(chapter):
    path = chapter / "100-7-0001.flac"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_flac(chapter):
    (chapter / "100-7-0001.flac").write_bytes(b"<html>404 Not Found</html>")


def empty_flac(chapter):
    (chapter / "100-7-0001.flac").write_bytes(b"")


def removed(chapter):
    (chapter / "100-7-0001.flac").unlink()


def no_transcript(chapter):
    (chapter / "100-7.trans.txt").unlink()


def no_text(chapter):
    path = chapter / "100-7.trans.txt"
    path.write_text(path.read_text().replace(TEXTS[1], ""))


def twice(chapter):
    path = chapter / "100-7.trans.txt"
    path.write_text(path.read_text() + f"100-7-0001 {TEXTS[1]}\n")


def latin1(chapter):
    path = chapter / "100-7.trans.txt"
    path.write_bytes(path.read_bytes().replace(b"QUICK", b"QU\xcfCK"))


def no_line(chapter):
    path = chapter / "100-7.trans.txt"
    path.write_text("".join(path.read_text().splitlines(True)[:2]))


DAMAGES = {
    resampled: "100-7-0001.flac: has 8,000 samples per second instead of 16,000",
    stereo: "100-7-0001.flac: has 2 channels",
    cut: "100-7-0001.flac: (is cut short|cannot be decoded)",
    no_flac: "100-7-0001.flac: cannot be decoded",
    empty_flac: "100-7-0001.flac: cannot be decoded",
    removed: "100-7.trans.txt:2: there is no 100-7-0001.flac beside it",
    no_transcript: "100-7.trans.txt: is missing",
    no_text: "100-7.trans.txt:2: the utterance '100-7-0001' has no text",
    no_line: "100-7-0002.flac: 100-7.trans.txt has no line for it",
    twice: "100-7.trans.txt:4: lists the utterance '100-7-0001' a second time",
    latin1: "100-7.trans.txt:2: is not UTF-8",
}
TEXT_DAMAGES = (removed, no_transcript, no_text, no_line, twice, latin1)


@pytest.mark.parametrize("damage", TEXT_DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_wrong_with_transcripts_is_told_also_where_the_vocabulary_is_learned(tree, chapter, damage):
    damage(chapter)
    with pytest.raises(WorkloadError, match=rf"^\S*/{DAMAGES[damage]}.*; get this subset again"):
        prepare(tree, PIECES)


def test_hidden_files_and_folders_are_none_of_the_data(tree, chapter):
    (chapter / "._100-7-0000.flac").write_bytes(b"\0\5\x16\7")
    (chapter.parent / ".ipynb_checkpoints").mkdir()
    (tree / "dev-clean" / ".cache" / "1").mkdir(parents=True)
    prepare(tree, PIECES)
    assert sizes(tree, SETTINGS) == {"train": 9, "validation": 6, "test": 3}


def test_audio_that_cannot_be_opened_is_told_with_the_systems_reason(tree, chapter, monkeypatch):
    real = Path.open

    def refused(path, *arguments, **options):
        if path.suffix == ".flac":
            raise PermissionError(errno.EACCES, "", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    told = "100-7-0000.flac: cannot be read or written .Permission denied.; change its permissions"
    with pytest.raises(WorkloadError, match=told), file_errors(tree):
        prepare(tree, PIECES)


@pytest.mark.parametrize(("text", "told"), [("THE DOG", 0), ("THE QUICK BROWN FOX", 1)])
def test_utterances_too_short_for_their_text_are_named(tree, caplog, text, told):
    prepare(tree, PIECES)
    shutil.rmtree(tree / "prepared" / "dev-clean")
    shutil.rmtree(tree / "dev-clean")
    write_chapter(tree / "dev-clean", "300", "1", [text], seconds=0.6)  # 15 outputs
    caplog.clear()
    prepare(tree, PIECES)
    found = [message for message in caplog.messages if "300-1.trans.txt:1: CTC needs" in message]
    assert len(found) == told and all("and the audio makes 15" in message for message in found)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_utterances_are_named_and_leave_nothing_behind(tree, chapter, damage):
    prepare(tree, PIECES)
    for path in sorted((tree / "prepared" / "train-clean-100").glob("*")):
        path.unlink()
    (tree / "prepared" / "train-clean-100").rmdir()
    damage(chapter)
    with pytest.raises(WorkloadError, match=f"{DAMAGES[damage]}.*; get this subset again"):
        prepare(tree, PIECES)
    assert "is not decoded yet" in str(check(tree)[0])
    assert not [path for path in (tree / "prepared").iterdir() if path.name.startswith(".")]


def test_a_vocabulary_of_another_size_is_refused(tree):
    prepare(tree, PIECES)
    with pytest.raises(WorkloadError, match=r"vocabulary.model: has 40 pieces instead of 1,024; delete it"):
        prepare(tree)
    with pytest.raises(WorkloadError, match=r"has 40 pieces instead of 1,024"):
        sizes(tree, WORKLOAD.settings["full"])


def test_too_little_text_for_a_vocabulary_is_an_error(tree):
    told = r"train-clean-100: is not enough text for a vocabulary of 1,024 pieces .*transcripts are complete"
    with pytest.raises(WorkloadError, match=told):
        prepare(tree)
    assert not (tree / "vocabulary.model").exists()


def test_a_file_that_is_no_vocabulary_is_an_error(tree):
    (tree / "vocabulary.model").write_bytes(b"<html>404 Not Found</html>")
    with pytest.raises(WorkloadError, match=r"vocabulary.model: is no SentencePiece model"):
        prepare(tree, PIECES)


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ({"eos_id": -1}, "its unknown symbol has the id 0, 0 is needed; its end of sentence -1, 1 or more is needed"),
        ({"pad_id": 0, "unk_id": 3}, "its unknown symbol has the id 3, 0 is needed"),
        ({"unk_id": 5, "bos_id": -1, "eos_id": 1, "pad_id": -1}, "its unknown symbol has the id 5, 0 is needed"),
        ({"pad_id": 3}, None),
        ({"bos_id": -1, "eos_id": 1}, None),
    ],
)
def test_a_given_vocabulary_has_the_special_ids_that_ctc_needs(tree, ids, told):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=PIECES, minloglevel=2, **ids
    )
    (tree / "vocabulary.model").write_bytes(model.getvalue())
    if told is None:
        prepare(tree, PIECES)
        return
    with pytest.raises(WorkloadError, match=f"vocabulary.model: {told}.*; delete it"):
        prepare(tree, PIECES)
    assert not (tree / "prepared").exists()


def test_decoded_arrays_that_are_damaged_are_told(tree):
    prepare(tree, PIECES)
    for name in ("starts.npy", "targets.npy"):
        path = tree / "prepared" / "test-clean" / name
        whole = path.read_bytes()
        path.write_bytes(b"xxxxxx" + whole[6:])
        assert check(tree) == []
        with pytest.raises(WorkloadError, match=f"test-clean/{name}: cannot be read .*; delete"):
            load_split(tree, "test", SETTINGS)
        path.write_bytes(whole)


def test_a_character_without_a_piece_is_an_error_since_its_id_is_the_blank(tree, tmp_path):
    texts = [text.replace("X", "") for text in TEXTS]
    SentencePieces.learn(tree / "vocabulary.model", texts, PIECES, tree)
    with pytest.raises(WorkloadError, match=r"trans.txt:2: vocabulary.model has no pieces for 'THE QUICK BROWN FOX"):
        prepare(tree, PIECES)


def test_another_vocabulary_than_the_one_prepared_with_is_noticed(tree):
    prepare(tree, PIECES)
    SentencePieces.learn(tree / "vocabulary.model", [*TEXTS, "JUMPING JUMPERS"], PIECES, tree)
    assert "was made with another vocabulary.model" in str(check(tree)[0])


@pytest.mark.parametrize("decoded", ["audio.s16", "targets.npy", "starts.npy", "manifest.json"])
def test_decoded_files_that_are_cut_short_are_noticed(tree, decoded):
    prepare(tree, PIECES)
    path = tree / "prepared" / "dev-other" / decoded
    path.write_bytes(path.read_bytes()[:-5])
    problem = str(check(tree)[0])
    assert f"dev-other/{decoded}" in problem and "delete" in problem


def test_missing_subsets_and_folders_are_named(tree):
    for name in ("dev-other", "test-clean"):
        (tree / name).rename(tree / f"{name}-elsewhere")
    assert [problem.file.name for problem in check(tree)] == ["dev-other", "test-clean"]
    assert "there is no such folder" in str(problems_of("librispeech_conformer", tree / "nowhere", SETTINGS)[0])


def test_pieces_agree_with_the_librarys_own_reading(tree):
    prepare(tree, PIECES)
    own = sentencepiece.SentencePieceProcessor(model_file=str(tree / "vocabulary.model"))
    ours = SentencePieces.load(tree / "vocabulary.model", PIECES)
    assert ours.encode(TEXTS[0]) == own.encode(TEXTS[0], add_eos=True)
    assert ours.decode([own.bos_id(), *ours.encode("THE LAZY FOX")]) == "THE LAZY FOX"
