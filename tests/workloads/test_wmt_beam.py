"""Beam search against searches through everything, against a plain beam search, and between the frameworks."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from harness.frameworks import load
from harness.spec import BASE, FRAMEWORKS, ForwardPassMode
from workloads.wmt import model_jax
from workloads.wmt.architecture import END, PAD
from workloads.wmt.beam_jax import beam_search as jax_search
from workloads.wmt.beam_torch import beam_search as torch_search
from workloads.wmt.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)
VARIANTS = (BASE, *WORKLOAD.variants)
EXPONENTS = (0.0, 0.6, 1.5)


def score(log_probability, length, exponent):
    return log_probability / ((5 + length) / 6) ** exponent


def padded(tokens, length):
    return [*tokens, *[PAD] * (length - len(tokens))]


def best_of_all(log_probabilities, vocabulary, length, exponent):
    """The best finished sequence; ``log_probabilities`` gives those of the next token from a prefix."""
    best, chosen = -np.inf, None
    others = [token for token in range(vocabulary) if token != END]
    for size in range(length):
        for prefix in itertools.product(others, repeat=size):
            sequence = (*prefix, END)
            total = sum(log_probabilities(sequence[:i])[token] for i, token in enumerate(sequence))
            if score(total, size + 1, exponent) > best:
                best, chosen = score(total, size + 1, exponent), sequence
    return padded(chosen, length)


def plain_beam_search(log_probabilities, beams, length, exponent):
    """The same definition with lists, to the last step, without any stop before."""
    live, finished = [(0.0, ())], []
    for size in range(1, length + 1):
        candidates = [
            (total + logp, (*prefix, token))
            for total, prefix in live
            for token, logp in enumerate(log_probabilities(prefix))
        ]
        candidates = sorted(candidates, reverse=True)[: 2 * beams]
        ended = [(total, s) for total, s in candidates if s[-1] == END and total > -np.inf]
        finished += [(score(total, size, exponent), s) for total, s in ended]
        live = [candidate for candidate in candidates if candidate[1][-1] != END][:beams]
    return padded(max(finished)[1] if finished else live[0][1], length)


class Tables:
    """Random logits that depend on the sentence, the position and the last two tokens."""

    def __init__(self, seed, sentences, vocabulary, length, end=0.0):
        random = np.random.RandomState(seed)
        self.logits = 2 * random.standard_normal((sentences, length, vocabulary, vocabulary, vocabulary))
        self.logits[..., END] += end
        self.logits = self.logits.astype(np.float32)
        self.sentences, self.vocabulary, self.length = sentences, vocabulary, length
        self.steps = 0

    def log_probabilities(self, sentence):
        def of(prefix):
            before, last = (PAD, PAD, *prefix)[-2:]
            return log_softmax(self.logits[sentence, len(prefix), before, last].astype(np.float64))

        return of

    def search(self, framework, beams, exponent):
        cache = np.repeat(np.arange(self.sentences), beams), np.full(self.sentences * beams, PAD)
        if framework == "jax":
            return np.asarray(jax_tables(self.logits, cache, exponent, beams))
        table = torch.tensor(self.logits)

        def step(cache, tokens, position):
            self.steps += 1
            sentence, before = cache
            last = tokens.flatten()
            return table[sentence, position, before, last].view(*tokens.shape, -1), (sentence, last)

        cache = tuple(map(torch.tensor, cache))
        return torch_search(step, cache, self.sentences, beams, self.length, exponent).numpy()


@functools.partial(jax.jit, static_argnames="beams")
def jax_tables(table, cache, exponent, beams):
    def step(cache, tokens, position):
        sentence, before = cache
        last = tokens.reshape(-1).astype(before.dtype)
        return table[sentence, position, before, last].reshape(*tokens.shape, -1), (sentence, last)

    return jax_search(step, cache, table.shape[0], beams, table.shape[1], exponent)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_with_a_beam_for_every_prefix_the_best_of_all_is_found(framework, exponent):
    vocabulary, length = 4, 4
    tables = Tables(0, 6, vocabulary, length)
    found = tables.search(framework, beams=vocabulary ** (length - 1), exponent=exponent)
    for sentence, tokens in enumerate(found.tolist()):
        assert tokens == best_of_all(tables.log_probabilities(sentence), vocabulary, length, exponent)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("end", [-2.0, 0.0, 2.0], ids=["late ends", "any ends", "early ends"])
@pytest.mark.parametrize("beams", [1, 2, 4])
def test_few_beams_find_what_a_plain_beam_search_finds(framework, beams, end):
    tables = Tables(1, 12, 7, 9, end)
    found = tables.search(framework, beams, 0.6)
    lengths = set()
    for sentence, tokens in enumerate(found.tolist()):
        assert tokens == plain_beam_search(tables.log_probabilities(sentence), beams, 9, 0.6)
        lengths.add(tokens.index(END) if END in tokens else 9)
    assert len(lengths) > 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_where_nothing_ends_the_best_live_beam_is_given(framework):
    tables = Tables(2, 12, 7, 9, end=-np.inf)
    found = tables.search(framework, 4, 0.6)
    assert (found != END).all()
    for sentence, tokens in enumerate(found.tolist()):
        assert tokens == plain_beam_search(tables.log_probabilities(sentence), 4, 9, 0.6)


def test_the_search_stops_when_no_beam_can_overtake():
    sure, unsure = Tables(3, 4, 5, 40, end=12.0), Tables(3, 4, 5, 40, end=-12.0)
    for tables in (sure, unsure):
        tables.search("torch", 4, 0.6)
    assert sure.steps < 10 < unsure.steps


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_length_penalty_favours_length(framework):
    lengths = [
        (Tables(4, 12, 7, 9, end=1.0).search(framework, 4, exponent) != PAD).sum(axis=1).mean()
        for exponent in (0.0, 1.0, 2.0)
    ]
    assert lengths == sorted(set(lengths))


# ---- the models ----


SMALL = {"vocabulary": 60, "features": 16, "hidden": 24, "layers": 1, "length": 12}
TINY = SMALL | {"vocabulary": 5, "length": 4, "beams": 64}
"""With a beam for every prefix."""


def model(framework, variant=BASE, **changes):
    """A bound workload with a small model, its parameters moved off the start, and its state."""
    workload = WORKLOAD(variant).bind(load(framework))
    workload.model_config = {**workload.model_config, **changes}
    params, state = workload.init_model_fn(KEY)
    random = np.random.RandomState(0)
    values = workload.export_parameters(params)
    moved = {name: value + 0.3 * random.standard_normal(value.shape) for name, value in values.items()}
    return workload, workload.import_parameters(params, moved), state


def sources(vocabulary, rows, length):
    """Sentences of all lengths, padded."""
    random = np.random.RandomState(5)
    ids = random.randint(3, vocabulary, (rows, length)).astype(np.int32)
    ends = random.randint(1, length, rows)
    ids[np.arange(rows), ends] = END
    return np.where(np.arange(length) > ends[:, None], PAD, ids)


def decoded(workload, params, inputs):
    if workload._bound.framework == "torch":
        return params.eval().decode({"inputs": torch.tensor(inputs).long()}).numpy()
    return np.asarray(
        jax.jit(functools.partial(model_jax.decode, workload.model_config))(params, None, {"inputs": inputs})
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_decoding_finds_the_translation_that_the_forward_pass_likes_best(variant):
    """The forward pass scores every translation at once, without a cache."""
    length, vocabulary = TINY["length"], TINY["vocabulary"]
    workload, params, state = model("torch", variant, **TINY)
    inputs = sources(vocabulary, 12, length)
    found = decoded(workload, params, inputs)
    others = [token for token in range(vocabulary) if token != END]
    every = [(*prefix, END) for size in range(length) for prefix in itertools.product(others, repeat=size)]
    targets = torch.tensor([padded(sequence, length) for sequence in every])
    lengths = np.array([len(sequence) for sequence in every])
    segments = torch.tensor(np.arange(length) < lengths[:, None]).long()  # PAD is a word as any other to the search.
    for source, tokens in zip(inputs, found.tolist(), strict=True):
        batch = {"inputs": torch.tensor(source).long().expand(len(every), -1), "targets": targets}
        batch["targets_segmentation"] = segments
        logits, _ = workload.model_fn(params, batch, state, ForwardPassMode.EVAL, KEY, False)
        logp = logits.double().log_softmax(-1).gather(2, targets[..., None])[..., 0] * segments
        scores = score(logp.sum(dim=1).numpy(), lengths, workload.model_config["length_penalty"])
        assert tokens == targets[int(scores.argmax())].tolist()


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_frameworks_decode_the_same(variant):
    inputs = sources(60, 32, 10)
    of_torch, of_jax = (decoded(*model(framework, variant, **SMALL)[:2], inputs) for framework in FRAMEWORKS)
    assert of_torch.shape == (32, 12) and len({tuple(row) for row in of_torch.tolist()}) > 4
    np.testing.assert_array_equal(of_jax, of_torch)


def test_padding_of_the_source_changes_no_translation():
    workload, params, _ = model("torch", **SMALL)
    inputs = sources(60, 16, 8)
    wide = np.pad(inputs, ((0, 0), (0, 4)), constant_values=PAD)
    np.testing.assert_array_equal(decoded(workload, params, inputs), decoded(workload, params, wide))


def test_the_mini_model_decodes_through_the_harness_to_the_longest_length():
    workload = WORKLOAD().bind(load("torch"))
    params, state = workload.init_model_fn(KEY)
    batch = workload.collate({name: np.array(array[:3]) for name, array in workload.load_split("validation").items()})
    (evaluated,) = workload._bound.evaluated(workload, params, state, [batch])
    assert evaluated.fetch_decoded().shape == (3, workload.model_config["length"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_that_has_diverged_decodes_to_something(framework):
    tables = Tables(0, 12, 7, 9)
    tables.logits[:] = np.nan
    found = tables.search(framework, 4, 0.6)
    assert found.shape == (12, 9) and ((found >= 0) & (found < 7)).all()
