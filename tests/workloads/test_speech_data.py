"""Utterances, batches, masks, decoding and word error rate."""

from __future__ import annotations

import itertools

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.spec import EvalBatch
from workloads.speech.base import FULL_MODEL, MINI_DATA, MINI_MODEL
from workloads.speech.batches import Masking, collate
from workloads.speech.front_end import FrontEnd
from workloads.speech.generator import VOCABULARY, generate
from workloads.speech.metric import edit_distance, greedy_decode, word_error_rate

SIZES = {"train": 150, "validation": 30, "test": 30}
FRONT_END = FrontEnd.of(MINI_MODEL)


@pytest.fixture(scope="module")
def splits():
    return generate(MINI_DATA, SIZES)


@pytest.fixture(scope="module")
def stored(splits):
    return {name: array for name, array in splits["train"].items() if name != "groups"}


def texts(targets):
    return [VOCABULARY.decode(row) for row in targets]


# ---- the language and its sound ----


def test_utterances_are_words_of_one_lexicon_that_follow_each_other_in_few_ways(splits):
    spoken = [text.split(" ") for arrays in splits.values() for text in texts(arrays["targets"])]
    words = {word for sentence in spoken for word in sentence}
    assert 60 < len(words) <= MINI_DATA["words"]
    assert {len(sentence) for sentence in spoken} == {2, 3, 4}
    pairs = {pair for sentence in spoken for pair in itertools.pairwise(sentence)}
    assert max(sum(first == word for first, _ in pairs) for word in words) <= 8


def test_audio_is_silent_after_its_end_and_targets_are_zero_after_theirs(stored):
    after = np.arange(stored["inputs"].shape[1]) >= stored["lengths"][:, None]
    assert not stored["inputs"][after].any()
    assert stored["inputs"].dtype == np.int16
    assert np.abs(stored["inputs"][~after].astype(int)).mean() > 100
    ended = np.cumsum(stored["targets"] == 0, axis=1) > 0
    assert not stored["targets"][ended].any()
    assert stored["targets"].max() <= MINI_MODEL["classes"] - 1 == len(VOCABULARY.alphabet)


def test_every_utterance_has_more_outputs_than_ctc_needs(splits):
    for arrays in splits.values():
        outputs = -(-FRONT_END.frames_of(arrays["lengths"]) // 4)
        targets = arrays["targets"]
        repeated = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] > 0)).sum(axis=1)
        assert (outputs >= (targets > 0).sum(axis=1) + repeated + 3).all()


def test_training_utterances_know_their_speaker(splits):
    groups = splits["train"]["groups"]
    assert len(np.unique(groups)) > 40
    assert set(splits["validation"]) == {"inputs", "lengths", "targets"}


def test_a_hiss_is_high_a_vowel_is_low(splits):
    """Centre of gravity of the spectrum: of words full of s or z against words full of vowels and nasals."""
    stored = splits["train"]
    hissing, humming = [], []
    for audio, length, text in zip(stored["inputs"], stored["lengths"], texts(stored["targets"]), strict=True):
        power = np.abs(np.fft.rfft(audio[:length].astype(float))) ** 2
        centre = (power * np.fft.rfftfreq(length, 1 / 8_000)).sum() / power.sum()
        share = sum(text.count(letter) for letter in "szx") / len(text)
        (hissing if share > 0.2 else humming if share == 0 else []).append(centre)
    assert len(hissing) > 10 and len(humming) > 10
    assert np.mean(hissing) > 1.3 * np.mean(humming)


# ---- batches ----


def test_a_batch_has_paddings_beside_audio_and_targets(stored):
    index = np.array([3, 0, 7])
    batch = collate({name: array[index] for name, array in stored.items()}, 12_000, 24)
    (audio, audio_paddings), (targets, target_paddings) = batch["inputs"], batch["targets"]
    assert set(batch) == {"inputs", "targets"}
    assert audio.shape == audio_paddings.shape == (3, 12_000) and audio.dtype == audio_paddings.dtype == np.float32
    assert targets.shape == target_paddings.shape == (3, 24) and targets.dtype == np.int32
    for row, example in enumerate(index):
        length = stored["lengths"][example]
        np.testing.assert_array_equal(audio[row], stored["inputs"][example])
        np.testing.assert_array_equal(audio_paddings[row], np.arange(12_000) >= length)
        text = VOCABULARY.decode(stored["targets"][example])
        assert (target_paddings[row] == 0).sum() == len(text)
        np.testing.assert_array_equal(targets[row][: len(text)], VOCABULARY.encode(text))


def test_narrower_arrays_are_widened_to_the_batch():
    audio, targets = np.ones((2, 5), np.int16), np.array([[1, 2], [3, 0]])
    batch = collate({"inputs": audio, "lengths": np.array([5, 2]), "targets": targets}, 8, 4)
    np.testing.assert_array_equal(batch["inputs"][0], [[1] * 5 + [0] * 3] * 2)
    np.testing.assert_array_equal(batch["inputs"][1], [[0] * 5 + [1] * 3, [0] * 2 + [1] * 6])
    np.testing.assert_array_equal(batch["targets"][0], [[1, 2, 0, 0], [3, 0, 0, 0]])
    np.testing.assert_array_equal(batch["targets"][1], [[0, 0, 1, 1], [0, 1, 1, 1]])


# ---- SpecAugment ----


@pytest.mark.parametrize("model", [MINI_MODEL, FULL_MODEL], ids=["mini", "full"])
def test_masks_lie_within_the_utterance_and_have_the_declared_sizes(model):
    masking, bins = Masking(**model["maskings"]["base"]), model["front_end"]["bins"]
    frames = np.array([20, 100, 400] * 2_000)
    drawn = masking.draw(np.random.RandomState(0), frames, bins)
    time, frequency = drawn["time_masks"], drawn["frequency_masks"]
    assert time.shape == (6_000, masking.time_masks, 2) and frequency.shape == (6_000, masking.frequency_masks, 2)
    assert (time[..., 0] >= 0).all() and (time[..., 1] <= frames[:, None]).all()
    assert (frequency[..., 0] >= 0).all() and frequency[..., 1].max() == bins
    widths, bands = time[..., 1] - time[..., 0], frequency[..., 1] - frequency[..., 0]
    assert widths[frames == 400].max() == masking.time_ratio * 400 - 1  # below the longest, rounded down
    assert widths[frames == 100].max() <= masking.time_ratio * 100
    assert set(np.unique(bands)) == set(range(masking.frequency_bins))
    assert bands.mean() == pytest.approx((masking.frequency_bins - 1) / 2, rel=0.03)


def test_starts_of_masks_are_uniform():
    drawn = Masking(1, 2, 1, 0.1).draw(np.random.RandomState(1), np.full(20_000, 50), 10)
    size = drawn["time_masks"][..., 1] - drawn["time_masks"][..., 0]
    starts = drawn["time_masks"][size == 3][:, 0]
    counts = np.bincount(starts, minlength=48)
    assert len(counts) == 48  # 50 - 3 + 1 places
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 47 + 4 * np.sqrt(2 * 47)


# ---- decoding and word error rate ----


def naive_decode(classes):
    """Merges repetitions, then removes blanks, one class at a time."""
    merged = [c for i, c in enumerate(classes) if i == 0 or c != classes[i - 1]]
    return [c for c in merged if c != 0]


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4), st.integers(0, 6))
def test_greedy_decoding_merges_repetitions_and_drops_blanks(classes, length):
    logits = np.eye(4)[np.array(classes)]
    paddings = np.tile(np.arange(6) >= length, (len(classes), 1)).astype(np.float32)
    assert greedy_decode(logits, paddings) == [naive_decode(row[:length]) for row in classes]


WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7)


@given(WORDS.filter(bool), WORDS)
def test_edit_distance_is_that_of_a_library(reference, hypothesis):
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert edit_distance(reference, hypothesis) == found.substitutions + found.deletions + found.insertions


def spelled(sentences, width):
    ids = np.zeros((len(sentences), width), np.int32)
    for row, text in zip(ids, sentences, strict=True):
        row[: len(text)] = VOCABULARY.encode(text)
    return ids


def test_word_error_rate_is_that_of_a_library_over_a_whole_split():
    references = ["na mi so", "kab ru", "tee"]
    hypotheses = ["na mi", "kab ri zo", "tee"]
    targets, spoken = spelled(references, 10), spelled(hypotheses, 10)
    # A blank after each character, so that doubled letters stay two.
    frames = np.stack([spoken, np.zeros_like(spoken)], axis=-1).reshape(3, 20)
    logits = np.eye(21, dtype=np.float32)[frames]
    batches = [
        EvalBatch(
            {"targets": (targets[part], (targets[part] == 0).astype(np.float32)), "weights": np.ones(2)},
            0.0,
            1.0,
            lambda part=part: (logits[part], np.zeros((2, 20))),
        )
        for part in ([0, 1], [2, 2])
    ]
    batches[1].batch["weights"][1] = 0.0
    assert word_error_rate(batches, VOCABULARY.decode) == pytest.approx(jiwer.wer(references, hypotheses))
    assert jiwer.wer(references, hypotheses) == pytest.approx(3 / 6)
