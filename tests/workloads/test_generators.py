"""Generated data: deterministic, of the declared form, with the statistics that make the tasks what they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.spec import WorkloadError
from workloads.cache import content_digest
from workloads.criteo1tb import generator as criteo
from workloads.finewebedu_lm import generator as language
from workloads.generated import SPLITS
from workloads.mnist import generator as digits

SMALL = {"train": 60, "validation": 30, "test": 20}


def settings_of(workload_class, name):
    return workload_class(name).settings["mini"]


def flat(splits):
    return {f"{split}_{name}": array for split, arrays in splits.items() for name, array in arrays.items()}


# ---- all workloads ----


def test_splits_have_the_declared_sizes_and_types(workload_class, name):
    workload = workload_class(name)()
    sizes = {split: len(workload.load_split(split)["targets"]) for split in workload.base_settings.splits}
    assert sizes == workload.base_settings.splits
    for array in workload.load_split("train").values():
        assert array.dtype in (np.float32, np.int32, np.int16, np.uint8)
        assert np.isfinite(array[:1000]).all()


def test_the_cache_holds_what_the_generator_makes(workload_class, name):
    workload = workload_class(name)()
    workload.load_split("train")
    workload.cache.verify()


def test_eval_train_is_the_head_of_train_and_the_other_splits_are_new(workload_class, name):
    workload = workload_class(name)()
    head = workload.load_split("eval_train")["inputs"]
    np.testing.assert_array_equal(head, workload.load_split("train")["inputs"][: len(head)])
    rows = {
        split: {row.tobytes() for row in np.ascontiguousarray(workload.load_split(split)["inputs"][:20_000])}
        for split in SPLITS
    }
    assert not rows["train"] & rows["validation"]
    assert not rows["train"] & rows["test"]
    assert not rows["validation"] & rows["test"]


def test_data_is_the_same_for_every_variant_and_instance(workload_class, name):
    cls = workload_class(name)
    assert len({cls(variant).cache.folder for variant in ("base", *cls.variants)}) == 1


def test_an_unknown_split_is_refused_with_the_known_ones(workload_class, name):
    with pytest.raises(WorkloadError, match="no split 'dev'; it has: eval_train, test, train, validation"):
        workload_class(name)().load_split("dev")


def test_full_scale_says_which_data_is_missing_and_where_it_would_be(workload_class, name, tmp_path):
    with pytest.raises(WorkloadError, match=f"{name} at full scale lacks its data: {tmp_path}"):
        workload_class(name)("base", "full", tmp_path).load_split("train")


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(workload_class, name):
    def digest(seed):
        workload = workload_class(name)()
        settings = workload.base_settings
        splits = settings.splits | SMALL
        workload.base_settings = dataclasses.replace(settings, data={**settings.data, "seed": seed}, splits=splits)
        return content_digest(flat(workload.generate()))

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


# ---- mnist ----


def test_glyph_pools_are_disjoint_cover_the_bundled_digits_and_balance_the_classes(workload_class):
    sizes = settings_of(workload_class, "mnist").data["pools"]
    pools = digits.glyph_pools(np.random.RandomState(0), sizes)
    assert {split: len(labels) for split, (_, labels) in pools.items()} == sizes
    glyphs = {split: {glyph.tobytes() for glyph in images} for split, (images, _) in pools.items()}
    assert sum(map(len, glyphs.values())) == len(set.union(*glyphs.values())) == 1797
    for _, labels in pools.values():
        shares = np.bincount(labels, minlength=10) / len(labels)
        assert np.abs(shares - 0.1).max() < 0.02


def test_digit_images_are_standardised_and_balanced(workload_class):
    train = workload_class("mnist")().load_split("train")
    assert train["inputs"].shape == (10_000, 28, 28, 1)
    assert abs(train["inputs"].mean()) < 0.2
    assert 0.6 < train["inputs"].std() < 1.4
    assert np.bincount(train["targets"], minlength=10).min() > 800


def test_an_undistorted_digit_is_the_glyph_enlarged():
    """Against scipy's bilinear interpolation at the same places."""
    from scipy.ndimage import map_coordinates

    glyph = np.random.RandomState(0).random_sample((1, 8, 8)).astype(np.float32)
    row, column = np.random.RandomState(1).uniform(0, 7, size=(2, 1, 5, 6)).astype(np.float32)
    expected = map_coordinates(glyph[0], [row[0], column[0]], order=1)
    np.testing.assert_allclose(digits._bilinear(glyph, row, column)[0], expected, atol=1e-5)


# ---- criteo1tb ----


@pytest.fixture(scope="module")
def click_settings():
    from workloads.criteo1tb.workload import WORKLOAD

    return WORKLOAD.settings["mini"]


@pytest.fixture(scope="module")
def clicks(click_settings):
    sizes = {"train": 60_000, "validation": 30_000, "test": 30_000}
    return criteo.generate(click_settings.data, click_settings.model["vocabulary"], sizes)


def test_clicks_are_about_a_third_of_the_rows(clicks):
    for split in SPLITS:
        assert 0.25 < clicks[split]["targets"].mean() < 0.4
        assert set(np.unique(clicks[split]["targets"])) == {0.0, 1.0}
        assert clicks[split]["targets"].shape[1:] == (1,)


def test_counts_are_whole_numbers_on_a_log_scale_with_many_zeros(clicks):
    dense = clicks["train"]["inputs"][:, :13].astype(np.float64)
    counts = np.expm1(dense)
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3 * (1 + counts.max() / 1e3))
    assert 0.15 < (dense == 0).mean() < 0.4


def test_categories_are_whole_ids_below_the_vocabulary_with_long_tails(clicks, click_settings):
    ids = clicks["train"]["inputs"][:, 13:]
    assert (ids == np.rint(ids)).all()
    assert ids.min() >= 0 and ids.max() < click_settings.model["vocabulary"]
    distinct = sorted(len(np.unique(column)) for column in ids.T)
    assert distinct[0] <= 3 and distinct[-1] > 5_000
    largest = max(ids.T, key=lambda column: len(np.unique(column)))
    counts = np.sort(np.unique(largest, return_counts=True)[1])[::-1]
    assert counts[:100].sum() > 0.4 * len(largest)
    assert (counts == 1).sum() > 0.2 * len(counts)


def test_hashing_makes_ids_collide_across_columns(clicks):
    ids = clicks["train"]["inputs"][:, 13:]
    columns = [set(np.unique(column)) for column in ids.T]
    assert len(set.union(*columns)) < sum(map(len, columns))


def test_later_days_drift_from_the_training_days(click_settings):
    random = np.random.RandomState(0)
    world = criteo._make_world(random, click_settings.data, click_settings.model["vocabulary"])
    later = criteo._drift(random, world, click_settings.data)
    largest = max(range(criteo.CATEGORIES), key=lambda column: len(world.effect[column]))
    before, after = world.effect[largest], later.effect[largest]
    expected = np.sqrt(1 - click_settings.data["drift"] ** 2)
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(expected, abs=0.01)
    assert after.std() == pytest.approx(before.std(), rel=0.05)
    np.testing.assert_array_equal(world.ids[largest], later.ids[largest])


# ---- finewebedu_lm ----


@pytest.fixture(scope="module")
def text():
    from workloads.finewebedu_lm.workload import WORKLOAD

    settings = WORKLOAD.settings["mini"]
    return language.generate(settings.data, settings.model["vocabulary"], {"train": 4000, "validation": 200})


def cross_entropy(probabilities):
    return float(np.exp(-np.log(probabilities).mean()))


def test_targets_are_the_inputs_one_token_on(text):
    inputs, targets = text["train"]["inputs"], text["train"]["targets"]
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert inputs.dtype == targets.dtype == np.int32
    assert inputs.min() >= 0 and inputs.max() < language.Lexicon.size() <= 832


def test_text_has_structure_beyond_single_words_and_beyond_pairs(text):
    """Perplexity of smoothed counts: words alone are far from pairs, and pairs are not all (see docs/workloads.md)."""
    size = language.Lexicon.size()
    inputs, targets = text["train"]["inputs"].ravel(), text["train"]["targets"].ravel()
    seen, following = text["validation"]["inputs"].ravel(), text["validation"]["targets"].ravel()
    words = (np.bincount(targets, minlength=size) + 0.1) / (len(targets) + 0.1 * size)
    pairs = np.zeros((size, size))
    np.add.at(pairs, (inputs, targets), 1)
    pairs = (pairs + 5 * words) / (pairs.sum(axis=1, keepdims=True) + 5)
    assert 110 < cross_entropy(words[following]) < 170
    assert 30 < cross_entropy(pairs[seen, following]) < 45


def documents(text):
    stream = np.concatenate([text["train"]["inputs"], text["train"]["targets"][:, -1:]], axis=1).ravel()
    return np.split(stream, np.flatnonzero(stream == language.END_OF_TEXT))[1:-1]


def test_a_document_keeps_its_tense(text):
    verbs, end = language.Lexicon.verbs, language.Lexicon.adjectives
    for document in documents(text)[:200]:
        forms = {(token - verbs) % 3 == 2 for token in document if verbs <= token < end}
        assert len(forms) <= 1


def test_entities_recur_within_a_document(text):
    nouns, end = language.Lexicon.nouns, language.Lexicon.verbs

    def repeats(tokens):
        found = tokens[(tokens >= nouns) & (tokens < end)]
        return 1 - len(set(found)) / max(len(found), 1)

    pieces = documents(text)[:500]
    together = np.mean([repeats(document) for document in pieces])
    mixed = np.random.RandomState(0).permutation(np.concatenate(pieces))
    apart = np.mean([repeats(piece) for piece in np.array_split(mixed, len(pieces))])
    assert together > apart + 0.2


def test_verbs_agree_with_their_subject_across_a_prepositional_phrase(text):
    """In present tense after ``noun preposition determiner noun``, the verb's number is the first noun's."""
    lexicon = language.Lexicon
    stream = np.concatenate(documents(text))

    def between(tokens, low, high):
        return (tokens >= low) & (tokens < high)

    first, preposition, second, verb = stream[:-4], stream[1:-3], stream[3:-1], stream[4:]
    found = between(first, lexicon.nouns, lexicon.verbs) & (preposition >= lexicon.prepositions)
    found &= between(second, lexicon.nouns, lexicon.verbs) & between(verb, lexicon.verbs, lexicon.adjectives)
    found &= (verb - lexicon.verbs) % 3 != 2
    subject_plural, verb_plural = (first - lexicon.nouns) % 2 == 1, (verb - lexicon.verbs) % 3 == 1
    assert found.sum() > 300
    assert (subject_plural == verb_plural)[found].mean() > 0.99


def test_a_vocabulary_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="796 types; a vocabulary of 100 is less"):
        language.generate({"seed": 0, "length": 8}, 100, {"train": 1})
