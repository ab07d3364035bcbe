"""wmt's two languages, packing, BLEU and what the models see of packed rows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.frameworks import load
from harness.spec import FRAMEWORKS, EvalBatch
from workloads.wmt import grammar
from workloads.wmt.architecture import END, PAD, position_table
from workloads.wmt.generator import generate
from workloads.wmt.grammar import SOURCE, TARGET
from workloads.wmt.metric import corpus_bleu, until_end
from workloads.wmt.packing import SIDES, annotated, pack_arrays, rows_of
from workloads.wmt.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)

# ---- the languages ----


@pytest.fixture(scope="module")
def pairs():
    """Source and target sentences without END."""
    config = WORKLOAD.settings["mini"].data
    arrays = generate(config, 512, {"train": 4000})["train"]
    return list(zip(*(until_end(arrays[name]) for name in SIDES), strict=True))


def of_class(tokens, table, name):
    """Numbers of the words of a class, in order."""
    names = list(table)
    first, end = table[name], table[names[names.index(name) + 1]]
    return [token - first for token in tokens if first <= token < end]


def function_words(tokens, words, table, name):
    return of_class(tokens, table, "function").count(words.index(name))


def test_sentences_are_distinct_end_and_fit(workload_class):
    workload = workload_class("wmt")()
    rows = np.concatenate([workload.load_split(split)["inputs"] for split in ("train", "validation", "test")])
    assert len(np.unique(rows, axis=0)) == len(rows)
    for split in ("train", "validation", "test"):
        for name, length in zip(SIDES, (20, 24), strict=True):
            ids = workload.load_split(split)[name]
            assert ids.shape[1] == length and ids.max() < grammar.VOCABULARY <= 512
            assert ((ids == END).sum(axis=1) == 1).all()
            np.testing.assert_array_equal((ids != PAD).sum(axis=1) - 1, (ids == END).argmax(axis=1))
    lengths = (workload.load_split("validation")["inputs"] != PAD).sum(axis=1)
    assert (np.diff(lengths) >= 0).all() and 9 < lengths.mean() < 13


def test_both_sides_mean_the_same(pairs):
    for source, target in pairs:
        for kind in ("verb", "adverb", "preposition", "name"):
            assert sorted(of_class(source, SOURCE, kind)) == sorted(of_class(target, TARGET, kind))
        nouns = sorted(noun % grammar.NOUNS for noun in of_class(target, TARGET, "noun"))
        assert nouns == sorted(of_class(source, SOURCE, "noun"))
        past, negated, plural = (
            function_words(source, grammar.SOURCE_WORDS, SOURCE, word) for word in ("PAST", "not", "PLURAL")
        )
        says = {word: function_words(target, grammar.TARGET_WORDS, TARGET, word) for word in grammar.TARGET_WORDS}
        assert says["PARTICIPLE"] == says["have_SINGULAR"] + says["have_PLURAL"] == past
        assert says["not"] == negated and says["PLURAL_0"] + says["PLURAL_1"] == plural


def test_determiners_and_adjectives_agree_with_the_noun_behind_them(pairs):
    forms = defaultdict(set)
    for _, target in pairs:
        for i, token in enumerate(target):
            if TARGET["definite"] <= token < TARGET["ending"]:
                form = (token - TARGET["definite"]) % grammar.FORMS
                noun = (target[i + 1] - TARGET["noun"]) % grammar.NOUNS
                rest = iter(target[i + 2 : i + 5])
                following = next(rest, END)
                plural = following in (TARGET["function"] + grammar.TARGET_WORDS.index(f"PLURAL_{k}") for k in (0, 1))
                assert (form == grammar.GENDERS) == plural
                if not plural:
                    forms[noun].add(form)
                adjective = next(rest, END) if plural else following
                if TARGET["adjective"] <= adjective < TARGET["adverb"]:
                    assert next(rest) == TARGET["ending"] + form
    assert all(len(genders) == 1 for genders in forms.values())
    assert {gender for genders in forms.values() for gender in genders} == set(range(grammar.GENDERS))


def test_some_nouns_have_two_translations_and_the_verb_decides(pairs):
    """In subject-verb-object sentences with one noun each, the pair (noun, verb) has one translation."""
    found = defaultdict(set)
    for source, target in pairs:
        nouns, verbs = of_class(source, SOURCE, "noun"), of_class(source, SOURCE, "verb")
        if len(nouns) == len(verbs) == 1 and not of_class(source, SOURCE, "preposition"):
            found[nouns[0], verbs[0]].add(of_class(target, TARGET, "noun")[0] // grammar.NOUNS)
    assert all(len(senses) == 1 for senses in found.values())
    of_noun = defaultdict(set)
    for (noun, _), senses in found.items():
        of_noun[noun] |= senses
    two = {noun for noun, senses in of_noun.items() if len(senses) == 2}
    assert two and max(two) < grammar.AMBIGUOUS_NOUNS


def test_word_for_word_translation_is_far_from_the_references(pairs):
    """The likeliest translation of each word, in the source's order."""
    together, alone = Counter(), Counter()
    for source, target in pairs:
        alone.update(set(target))
        together.update((s, t) for s in set(source) for t in set(target))
    best = {}
    for (s, t), count in together.items():
        best[s] = max(best.get(s, (0, 0)), (count / alone[t] ** 0.7, t))
    said = [" ".join(str(best[s][1]) for s in source) for source, _ in pairs]
    assert corpus_bleu(said, [" ".join(map(str, target)) for _, target in pairs], "none") < 25


def test_a_vocabulary_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="411 types; a vocabulary of 400 is less"):
        generate({"seed": 0, "source_length": 20, "target_length": 24}, 400, {"train": 1})


# ---- packing ----


def rows_one_by_one(lengths, limit):
    starts, filled = [0], [0, 0]
    for i, pair in enumerate(lengths):
        if i and any(used + more > limit for used, more in zip(filled, pair, strict=True)):
            starts.append(i)
            filled = [0, 0]
        filled = [used + more for used, more in zip(filled, pair, strict=True)]
    return [*starts, len(lengths)]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40), st.integers(9, 30))
@settings(deadline=None)
def test_rows_are_filled_pair_by_pair(lengths, limit):
    assert rows_of(*np.array(lengths).T, limit).tolist() == rows_one_by_one(lengths, limit)


@pytest.fixture
def packed_pairs():
    """Pairs of the mini data, and the same pairs packed into rows of 48."""
    arrays = {name: np.array(WORKLOAD().load_split("train")[name][:24]) for name in SIDES}
    return arrays, annotated(pack_arrays(*arrays.values(), 48))


def test_positions_and_segments_count_within_a_row(packed_pairs):
    arrays, rows = packed_pairs
    for name in SIDES:
        pairs = iter(arrays[name])
        for ids, segments, positions in zip(
            *(rows[f"{name}{x}"] for x in ("", "_segmentation", "_position")), strict=True
        ):
            np.testing.assert_array_equal(segments == 0, ids == PAD)
            for segment in range(1, segments.max() + 1):
                expected = next(pairs)
                np.testing.assert_array_equal(ids[segments == segment], expected[expected != PAD])
                assert positions[segments == segment].tolist() == list(range((segments == segment).sum()))
        assert next(pairs, None) is None
    assert rows["targets_segmentation"].max() >= 3


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_pair_in_a_row_gets_the_logits_that_it_gets_alone(framework, packed_pairs):
    arrays, rows = packed_pairs
    workload = WORKLOAD("glu_tanh").bind(load(framework))
    workload.model_config = {**workload.model_config, "layers": 1, "length": 48}
    params, state = workload.init_model_fn(KEY)

    def logits(batch):
        return next(workload._bound.evaluated(workload, params, state, [batch])).fetch_logits()

    alone, together = logits(arrays), logits(rows)
    expected = alone[arrays["targets"] != PAD]
    np.testing.assert_allclose(together[rows["targets"] != PAD], expected, rtol=1e-4, atol=1e-5)
    neighbours = {name: array for name, array in rows.items() if "segmentation" not in name}
    assert np.abs(logits(neighbours)[rows["targets"] != PAD] - expected).max() > 0.01


# ---- numbers ----


def bleu(translations, references, order=4):
    """Papineni et al. 2002 (ACL), with exponential smoothing of precisions of zero (Chen & Cherry 2014, method 3)."""
    logs, zeros = [], 0
    for n in range(1, order + 1):
        matched = total = 0
        for translation, reference in zip(translations, references, strict=True):
            said, wanted = (Counter(zip(*(x[i:] for i in range(n)), strict=False)) for x in (translation, reference))
            matched += sum((said & wanted).values())
            total += sum(said.values())
        if matched == 0:
            zeros += 1
            matched = 0.5**zeros
        logs.append(math.log(matched / total))
    said, wanted = (sum(map(len, texts)) for texts in (translations, references))
    return 100 * math.exp(min(0, 1 - wanted / said) + sum(logs) / order)


@pytest.mark.parametrize("kept", [3, 8, 12])
def test_bleu_is_papinenis(kept):
    random = np.random.RandomState(kept)
    references = [random.randint(3, 30, random.randint(6, 15)).tolist() for _ in range(30)]
    translations = [[*reference[:kept], *random.randint(3, 30, 3).tolist()] for reference in references]
    as_text = [[" ".join(map(str, tokens)) for tokens in texts] for texts in (translations, references)]
    assert corpus_bleu(*as_text, tokenize="none") == pytest.approx(bleu(translations, references), rel=1e-9)


def test_text_is_tokenised_as_mteval_13a_does():
    assert corpus_bleu(["It is 5% , he said ."], ["It is 5%, he said."], "13a") == pytest.approx(100)
    assert corpus_bleu(["It is 5% , he said ."], ["It is 5%, he said."], "none") < 90


def test_until_end_stops_at_the_first_end():
    assert until_end(np.array([[5, PAD, 4, END, 6, END], [3, 3, 3, 3, 3, 3], [END, 1, 0, 0, 0, 0]])) == [
        [5, 4],
        [3, 3, 3, 3, 3, 3],
        [],
    ]


def test_padded_examples_of_the_last_batch_do_not_count(workload_class):
    workload = workload_class("wmt")()
    targets = np.array([[4, 5, 6, 7, END], [8, 9, 8, 9, END], [4, 5, 6, 7, END]], np.int32)
    batch = workload.collate({"inputs": targets, "targets": targets, "weights": np.array([1, 1, 0], np.float32)})
    assert batch["weights"].sum() == 10
    said = np.where(np.arange(3)[:, None] == 2, 3, targets)
    metrics = workload.evaluate([EvalBatch(batch, 5.0, 10.0, lambda: None, lambda: said)])
    assert metrics == {"bleu": pytest.approx(100.0), "loss": 0.5}


def test_collate_weighs_the_tokens_of_the_targets_only(workload_class):
    workload = workload_class("wmt")()
    batch = {"inputs": np.array([[3, END, PAD]]), "targets": np.array([[4, END, PAD]]), "index": np.array([7])}
    found = workload.collate(batch)
    assert found["weights"].tolist() == [[1.0, 1.0, 0.0]] and found["weights"].dtype == np.float32
    assert found["index"] is batch["index"]


def test_positions_are_waves_of_growing_length():
    table = position_table(64, 8)
    np.testing.assert_allclose(table[0], [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_allclose(table[:, 0], np.sin(np.arange(64)), atol=1e-6)
    np.testing.assert_allclose(table[:, 7], np.cos(np.arange(64) / 10_000), atol=1e-6)
    np.testing.assert_allclose(table[:, :4] ** 2 + table[:, 4:] ** 2, 1, atol=1e-5)
