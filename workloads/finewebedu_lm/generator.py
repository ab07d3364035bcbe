"""Generated documents with statistics at several ranges, for a language model to find one after the other.

Word frequencies follow Zipf's law within eight topics; verbs prefer certain subjects and objects; verbs agree with
their subject across prepositional phrases and relative clauses; a document keeps its tense; and its entities (nouns
with their number and adjective, names) recur, which rewards copying from far back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates

(END_OF_TEXT, STOP, COMMA, QUOTE, THE, A, THIS, THESE, THAT, SAID, IS, ARE, WAS, WERE) = range(14)
"""Function words; the other ids are blocks of one word class each, see ``Lexicon``."""

TOPICS = 8
_CLASSES = 10
_NOUNS, _VERBS, _ADJECTIVES, _ADVERBS, _NAMES, _PREPOSITIONS = 190, 70, 80, 40, 60, 12
_ENTITIES, _DOCUMENT_NAMES = 3, 2
_QUANTILES = 4096
_DOCUMENTS = 1000
"""Documents made at a time."""
_ABSENT = -1


@announced(generates)
def generate(config: Mapping[str, Any], vocabulary: int, sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` and ``targets`` int32 ``[n, length]``, the targets one token ahead of the inputs."""
    if vocabulary < Lexicon.size():
        raise ValueError(f"the generated documents have {Lexicon.size()} types; a vocabulary of {vocabulary} is less")
    rng = np.random.RandomState(config["seed"])
    language = _make_language(rng)
    splits = {}
    for split, size in sizes.items():
        chunks = token_stream(rng, language, size * (config["length"] + 1)).reshape(size, -1)
        splits[split] = {"inputs": chunks[:, :-1].copy(), "targets": chunks[:, 1:].copy()}
    return splits


class Lexicon:
    """Token ids: nouns in two numbers, verbs in three forms (singular, plural, past), and words of one form."""

    nouns = 14
    verbs = nouns + 2 * _NOUNS
    adjectives = verbs + 3 * _VERBS
    adverbs = adjectives + _ADJECTIVES
    names = adverbs + _ADVERBS
    prepositions = names + _NAMES

    @staticmethod
    def size() -> int:
        return Lexicon.prepositions + _PREPOSITIONS


@dataclasses.dataclass(frozen=True)
class Language:
    """Tables from a condition and a quantile to a word, ``[conditions, _QUANTILES]``.

    Attributes:
      noun: by topic.
      object: by topic and the verb's class, ``[TOPICS * _CLASSES, _QUANTILES]``.
      verb, adjective: by the noun's class.
      adverb, preposition: by the verb's class.
      name: by topic.
      noun_class, verb_class: the class of each word.
    """

    noun: np.ndarray
    object: np.ndarray
    verb: np.ndarray
    adjective: np.ndarray
    adverb: np.ndarray
    preposition: np.ndarray
    name: np.ndarray
    noun_class: np.ndarray
    verb_class: np.ndarray


def _make_language(rng: np.random.RandomState) -> Language:
    noun_class, verb_class = rng.randint(_CLASSES, size=_NOUNS), rng.randint(_CLASSES, size=_VERBS)
    topic_weights = _zipf_weights(rng, TOPICS, _NOUNS, 1.0)
    liked = np.stack([np.isin(noun_class, rng.permutation(_CLASSES)[:2]) for _ in range(_CLASSES)])
    object_weights = topic_weights[:, None] * np.where(liked, 12.0, 1.0)[None]
    return Language(
        noun=_quantiles(topic_weights),
        object=_quantiles(object_weights.reshape(-1, _NOUNS)),
        verb=_quantiles(_zipf_weights(rng, _CLASSES, _VERBS, 1.3)),
        adjective=_quantiles(_zipf_weights(rng, _CLASSES, _ADJECTIVES, 1.2)),
        adverb=_quantiles(_zipf_weights(rng, _CLASSES, _ADVERBS, 1.3)),
        preposition=_quantiles(_zipf_weights(rng, _CLASSES, _PREPOSITIONS, 1.6)),
        name=_quantiles(_zipf_weights(rng, TOPICS, _NAMES, 0.7)),
        noun_class=noun_class,
        verb_class=verb_class,
    )


def _zipf_weights(rng: np.random.RandomState, conditions: int, words: int, exponent: float) -> np.ndarray:
    weights = np.arange(1, words + 1) ** -exponent
    return np.stack([weights[rng.permutation(words)] for _ in range(conditions)])


def _quantiles(weights: np.ndarray) -> np.ndarray:
    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    cumulative = np.cumsum(weights, axis=1)
    return np.stack([np.searchsorted(row, places * row[-1]) for row in cumulative])


def token_stream(rng: np.random.RandomState, language: Language, length: int) -> np.ndarray:
    """The first ``length`` tokens of freshly drawn documents, int32."""
    parts: list[np.ndarray] = []
    missing = length
    while missing > 0:
        parts.append(_Writer(rng, language).write())
        missing -= len(parts[-1])
    return np.concatenate(parts)[:length]


@dataclasses.dataclass
class _Phrase:
    """A noun phrase per sentence: its noun's index (or -1 for a name), its number and its tokens by column."""

    noun: np.ndarray
    plural: np.ndarray
    columns: list[np.ndarray]


class _Writer:
    """Writes documents: a matrix of sentences by word positions, some absent, read row by row."""

    def __init__(self, rng: np.random.RandomState, language: Language) -> None:
        self.rng, self.language = rng, language
        sentences = 3 + rng.poisson(8, _DOCUMENTS)
        self.document = np.repeat(np.arange(_DOCUMENTS), sentences)
        self.n = len(self.document)
        self.first = np.concatenate(([True], np.diff(self.document) > 0))
        self.topic = rng.randint(TOPICS, size=_DOCUMENTS)
        self.past = rng.random_sample(_DOCUMENTS) < 0.5
        topics = np.repeat(self.topic[:, None], _ENTITIES, axis=1)
        self.entity_noun = self._draw(language.noun, topics)
        self.entity_plural = rng.random_sample(topics.shape) < 0.35
        self.entity_adjective = self._draw(language.adjective, language.noun_class[self.entity_noun])
        self.document_name = self._draw(language.name, topics[:, :_DOCUMENT_NAMES])

    def write(self) -> np.ndarray:
        n, language = self.n, self.language
        quoted, copular, relative = self._chance(0.15), self._chance(0.15), self._chance(0.25)
        opened, subject_place, object_place, with_adverb = map(self._chance, (0.12, 0.15, 0.3, 0.15))

        subject = self._noun_phrase(self._draw(language.noun, self.topic[self.document]), names=0.2, adjectives=0.4)
        is_name = subject.noun < 0
        relative &= ~is_name
        subject_place &= ~is_name & ~relative
        subject_class = np.where(is_name, 0, language.noun_class[subject.noun])
        attractor = self._noun_phrase(self._draw(language.noun, self.topic[self.document]), names=0, adjectives=0)
        embedded_verb = self._draw(language.verb, subject_class)
        embedded_object = self._object(embedded_verb, adjectives=0.0)
        verb = self._draw(language.verb, subject_class)
        verb_class = language.verb_class[verb]
        objects = self._object(verb, adjectives=0.35)
        place = self._noun_phrase(self._draw(language.noun, self.topic[self.document]), names=0.1, adjectives=0)
        predicate = Lexicon.adjectives + self._draw(language.adjective, subject_class)
        adverbs = Lexicon.adverbs + self._draw(language.adverb, verb_class)
        prepositions = Lexicon.prepositions + self._draw(language.preposition, verb_class)

        always = np.ones(n, bool)
        columns = [
            (self.first, END_OF_TEXT),
            (opened, Lexicon.adverbs + self._draw(language.adverb, self.topic[self.document])),
            (opened, COMMA),
            (quoted, Lexicon.names + self._name()),
            (quoted, SAID),
            (quoted, COMMA),
            (quoted, QUOTE),
            *((always, column) for column in subject.columns),
            (subject_place, Lexicon.prepositions + self._draw(language.preposition, subject_class)),
            *((subject_place, column) for column in attractor.columns),
            (relative, THAT),
            (relative, self._conjugated(embedded_verb, subject.plural)),
            *((relative, column) for column in embedded_object.columns),
            (always, np.where(copular, self._copula(subject.plural), self._conjugated(verb, subject.plural))),
            (copular, predicate),
            *((~copular, column) for column in objects.columns),
            (object_place, prepositions),
            *((object_place, column) for column in place.columns),
            (with_adverb & ~copular, adverbs),
            (always, STOP),
            (quoted, QUOTE),
        ]
        matrix = np.stack([np.where(shown, tokens, _ABSENT) for shown, tokens in columns], axis=1)
        return matrix[matrix != _ABSENT].astype(np.int32)

    def _chance(self, probability: float) -> np.ndarray:
        return self.rng.random_sample(self.n) < probability

    def _draw(self, table: np.ndarray, condition: np.ndarray) -> np.ndarray:
        return table[condition, self.rng.randint(_QUANTILES, size=condition.shape)]

    def _object(self, verb: np.ndarray, adjectives: float) -> _Phrase:
        condition = self.topic[self.document] * _CLASSES + self.language.verb_class[verb]
        return self._noun_phrase(self._draw(self.language.object, condition), names=0.08, adjectives=adjectives)

    def _noun_phrase(self, fresh: np.ndarray, names: float, adjectives: float) -> _Phrase:
        """Determiner, adjective and noun: an entity of the document in half of the cases, else ``fresh``; or a name."""
        entity = np.searchsorted([0.5, 0.8], self.rng.random_sample(self.n))
        recurs, is_name, described = self._chance(0.5), self._chance(names), self._chance(adjectives)
        at = (self.document, entity)
        noun = np.where(recurs, self.entity_noun[at], fresh)
        plural = np.where(recurs, self.entity_plural[at], self._chance(0.35)) & ~is_name
        drawn = self._draw(self.language.adjective, self.language.noun_class[noun])
        adjective = np.where(recurs, self.entity_adjective[at], drawn)
        new = np.where(plural, np.where(self._chance(0.8), THE, THESE), np.where(self._chance(0.6), A, THIS))
        determiner = np.where(recurs | self._chance(0.4), THE, new)
        columns = [
            np.where(is_name, _ABSENT, determiner),
            np.where(described & ~is_name, Lexicon.adjectives + adjective, _ABSENT),
            np.where(is_name, Lexicon.names + self._name(), Lexicon.nouns + 2 * noun + plural),
        ]
        return _Phrase(np.where(is_name, _ABSENT, noun), plural, columns)

    def _name(self) -> np.ndarray:
        own = self.document_name[self.document, self.rng.randint(_DOCUMENT_NAMES, size=self.n)]
        return np.where(self._chance(0.8), own, self._draw(self.language.name, self.topic[self.document]))

    def _conjugated(self, verb: np.ndarray, plural: np.ndarray) -> np.ndarray:
        return Lexicon.verbs + 3 * verb + np.where(self.past[self.document], 2, plural)

    def _copula(self, plural: np.ndarray) -> np.ndarray:
        return np.where(self.past[self.document], np.where(plural, WERE, WAS), np.where(plural, ARE, IS))
