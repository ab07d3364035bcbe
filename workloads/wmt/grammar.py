"""Two small languages with one set of meanings: random trees of clauses, said in the source and in the target language.

The target language orders words differently (finite verb second in main clauses, last in subordinate ones; adjectives
behind their noun; places before objects; "when" clauses first), inflects determiners, adjectives and relative pronouns
by gender and number, forms the past with an auxiliary and a participle at the clause's end, and has two words for some
of the source's nouns and adjectives.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from workloads.wmt.architecture import END

NOUNS, VERBS, ADJECTIVES, ADVERBS, PREPOSITIONS, NAMES = 80, 40, 26, 10, 8, 14
AMBIGUOUS_NOUNS, AMBIGUOUS_ADJECTIVES = 12, 4
"""The first of each kind have two translations."""
SAYING = 10
"""The first verbs take a clause as their object; the last ``INTRANSITIVE`` none."""
INTRANSITIVE = 8
GENDERS = 3
_QUANTILES = 1024

SOURCE_WORDS = ("the", "a", "PLURAL", "PAST", "not", "who", "that", "because", "when")
TARGET_WORDS = ("SINGULAR_VERB", "PLURAL_VERB", "PARTICIPLE", "have_SINGULAR", "have_PLURAL", "not", "that", "because",
                "when", "PLURAL_0", "PLURAL_1")  # fmt: skip
FORMS = GENDERS + 1
"""Of determiners, adjective endings and relative pronouns: one per gender, and one for the plural."""


def _blocks(first: int, sizes: dict[str, int]) -> dict[str, int]:
    starts = first + np.cumsum([0, *sizes.values()])
    return dict(zip([*sizes, "end"], map(int, starts), strict=True))


SOURCE = _blocks(
    END + 1,
    {
        "function": len(SOURCE_WORDS),
        "noun": NOUNS,
        "verb": VERBS,
        "adjective": ADJECTIVES,
        "adverb": ADVERBS,
        "preposition": PREPOSITIONS,
        "name": NAMES,
    },
)
"""First token id of each class of words of the source language, and where they end."""
TARGET = _blocks(
    SOURCE["end"],
    {
        "function": len(TARGET_WORDS),
        "definite": FORMS,
        "indefinite": FORMS,
        "ending": FORMS,
        "relative": FORMS,
        "noun": NOUNS + AMBIGUOUS_NOUNS,
        "verb": VERBS,
        "adjective": ADJECTIVES + AMBIGUOUS_ADJECTIVES,
        "adverb": ADVERBS,
        "preposition": PREPOSITIONS,
        "name": NAMES,
    },
)
VOCABULARY = TARGET["end"]
"""Token ids in use: padding, unknown, END, and the words of both languages."""
_S = {word: SOURCE["function"] + i for i, word in enumerate(SOURCE_WORDS)}
_T = {word: TARGET["function"] + i for i, word in enumerate(TARGET_WORDS)}


class Phrase(NamedTuple):
    """A name, or a noun with what belongs to it. ``governor`` is the verb or preposition that it depends on."""

    name: int | None
    noun: int
    plural: bool
    definite: bool
    adjective: int | None
    governor: int
    place: Place | None
    clause: Clause | None
    """A relative clause, of which the phrase is the subject."""


class Place(NamedTuple):
    preposition: int
    phrase: Phrase


class Clause(NamedTuple):
    """What somebody does. ``subject`` is None in relative clauses; ``plural`` is the subject's number."""

    subject: Phrase | None
    plural: bool
    verb: int
    past: bool
    negated: bool
    object: Phrase | None
    said: Clause | None
    place: Place | None
    adverb: int | None
    reason: tuple[str, Clause] | None
    """Another clause behind "because" or "when"."""


@dataclasses.dataclass(frozen=True)
class Language:
    """What is arbitrary in the two languages: frequent words, genders, plurals, and which words go together.

    Attributes:
      noun, verb, adjective, name, adverb, preposition: words by quantile, frequent ones often (Zipf).
      gender: of each noun, in the target language.
      plural_class: which plural suffix each noun takes there.
      sense: which translation a verb (then a preposition) asks of an ambiguous noun, 0 or 1.
    """

    noun: list[int]
    verb: list[int]
    adjective: list[int]
    name: list[int]
    adverb: list[int]
    preposition: list[int]
    gender: list[int]
    plural_class: list[int]
    sense: list[int]

    @staticmethod
    def make(random: np.random.RandomState) -> Language:
        return Language(
            noun=_zipf(random, NOUNS, 0.9),
            verb=_zipf(random, VERBS, 0.8),
            adjective=_zipf(random, ADJECTIVES, 0.8),
            name=_zipf(random, NAMES, 0.6),
            adverb=_zipf(random, ADVERBS, 0.6),
            preposition=_zipf(random, PREPOSITIONS, 0.6),
            gender=random.randint(GENDERS, size=NOUNS).tolist(),
            plural_class=random.randint(2, size=NOUNS).tolist(),
            sense=random.randint(2, size=VERBS + PREPOSITIONS).tolist(),
        )


def _zipf(random: np.random.RandomState, words: int, exponent: float) -> list[int]:
    weights = np.arange(1, words + 1) ** -exponent
    cumulative = np.cumsum(weights[random.permutation(words)])
    places = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return np.searchsorted(cumulative, places * cumulative[-1]).tolist()


class Speaker:
    """Thinks of clauses."""

    def __init__(self, random: np.random.RandomState, language: Language) -> None:
        self.language = language
        batches = (random.random_sample(1 << 14).tolist() for _ in itertools.count())
        self._uniforms: Iterator[float] = itertools.chain.from_iterable(batches)

    def sentence(self) -> Clause:
        return self._clause(depth=0)

    def _chance(self, probability: float) -> bool:
        return next(self._uniforms) < probability

    def _draw(self, words: list[int]) -> int:
        return words[int(next(self._uniforms) * _QUANTILES)]

    def _clause(self, depth: int, subject: Phrase | None = None, relative: bool = False) -> Clause:
        verb = self._draw(self.language.verb)
        while depth > 0 and verb < SAYING:
            verb = self._draw(self.language.verb)
        if not relative:
            subject = self._phrase(depth, verb)
        assert subject is not None
        saying, alone = verb < SAYING, verb >= VERBS - INTRANSITIVE
        simple = depth > 0 or saying
        return Clause(
            subject=None if relative else subject,
            plural=subject.plural,
            verb=verb,
            past=self._chance(0.4),
            negated=self._chance(0.15),
            object=None if saying or alone else self._phrase(depth + 1, verb),
            said=self._clause(depth + 1) if saying else None,
            place=self._place(depth + 1) if self._chance(0.1 if simple else 0.3) else None,
            adverb=self._draw(self.language.adverb) if self._chance(0.1 if simple else 0.3) else None,
            reason=(("because", "when")[self._chance(0.5)], self._clause(depth + 1))
            if not simple and self._chance(0.12)
            else None,
        )

    def _place(self, depth: int) -> Place:
        preposition = self._draw(self.language.preposition)
        return Place(preposition, self._phrase(depth, VERBS + preposition))

    def _phrase(self, depth: int, governor: int) -> Phrase:
        if self._chance(0.15):
            name = self._draw(self.language.name)
            return Phrase(name, -1, False, True, None, governor, None, None)
        noun, plural = self._draw(self.language.noun), self._chance(0.35)
        adjective = self._draw(self.language.adjective) if self._chance(0.35) else None
        bare = Phrase(None, noun, plural, self._chance(0.6), adjective, governor, None, None)
        if depth <= 1 and self._chance(0.1):
            return bare._replace(place=self._place(depth + 2))
        if depth <= 1 and self._chance(0.12):
            return bare._replace(clause=self._clause(depth + 2, bare, relative=True))
        return bare


def in_source(clause: Clause) -> Iterator[int]:
    """Token ids: subject, verb, object; suffixes behind their word."""
    if clause.subject is not None:
        yield from _source_phrase(clause.subject)
    if clause.negated:
        yield _S["not"]
    yield SOURCE["verb"] + clause.verb
    if clause.past:
        yield _S["PAST"]
    if clause.object is not None:
        yield from _source_phrase(clause.object)
    if clause.place is not None:
        yield from _source_place(clause.place)
    if clause.adverb is not None:
        yield SOURCE["adverb"] + clause.adverb
    if clause.said is not None:
        yield _S["that"]
        yield from in_source(clause.said)
    if clause.reason is not None:
        yield _S[clause.reason[0]]
        yield from in_source(clause.reason[1])


def _source_phrase(phrase: Phrase) -> Iterator[int]:
    if phrase.name is not None:
        yield SOURCE["name"] + phrase.name
        return
    yield _S["the" if phrase.definite else "a"]
    if phrase.adjective is not None:
        yield SOURCE["adjective"] + phrase.adjective
    yield SOURCE["noun"] + phrase.noun
    if phrase.plural:
        yield _S["PLURAL"]
    if phrase.place is not None:
        yield from _source_place(phrase.place)
    if phrase.clause is not None:
        yield _S["who"]
        yield from in_source(phrase.clause)


def _source_place(place: Place) -> Iterator[int]:
    yield SOURCE["preposition"] + place.preposition
    yield from _source_phrase(place.phrase)


class Translator:
    """Says clauses in the target language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def main(self, clause: Clause) -> Iterator[int]:
        """The finite verb comes second: behind a "when" clause, an adverb or the subject."""
        assert clause.subject is not None
        when = clause.reason if clause.reason is not None and clause.reason[0] == "when" else None
        if when is not None:
            yield from self._subordinate("when", when[1])
        elif clause.adverb is not None:
            yield TARGET["adverb"] + clause.adverb
        inverted = when is not None or clause.adverb is not None
        if not inverted:
            yield from self._phrase(clause.subject)
        yield from self._finite(clause)
        if inverted:
            yield from self._phrase(clause.subject)
        if when is not None and clause.adverb is not None:
            yield TARGET["adverb"] + clause.adverb
        yield from self._middle(clause)
        if clause.past:
            yield from self._participle(clause)
        yield from self._behind(clause)

    def _subordinate(self, conjunction: str, clause: Clause) -> Iterator[int]:
        yield _T[conjunction]
        yield from self._verb_final(clause)

    def _verb_final(self, clause: Clause) -> Iterator[int]:
        if clause.subject is not None:
            yield from self._phrase(clause.subject)
        if clause.adverb is not None:
            yield TARGET["adverb"] + clause.adverb
        yield from self._middle(clause)
        if clause.past:
            yield from self._participle(clause)
        yield from self._finite(clause)
        yield from self._behind(clause)

    def _finite(self, clause: Clause) -> Iterator[int]:
        if clause.past:
            yield _T["have_PLURAL" if clause.plural else "have_SINGULAR"]
        else:
            yield TARGET["verb"] + clause.verb
            yield _T["PLURAL_VERB" if clause.plural else "SINGULAR_VERB"]

    def _participle(self, clause: Clause) -> Iterator[int]:
        yield TARGET["verb"] + clause.verb
        yield _T["PARTICIPLE"]

    def _middle(self, clause: Clause) -> Iterator[int]:
        if clause.place is not None:
            yield from self._place(clause.place)
        if clause.object is not None:
            yield from self._phrase(clause.object)
        if clause.negated:
            yield _T["not"]

    def _behind(self, clause: Clause) -> Iterator[int]:
        if clause.said is not None:
            yield from self._subordinate("that", clause.said)
        if clause.reason is not None and clause.reason[0] == "because":
            yield from self._subordinate("because", clause.reason[1])

    def _place(self, place: Place) -> Iterator[int]:
        yield TARGET["preposition"] + place.preposition
        yield from self._phrase(place.phrase)

    def _phrase(self, phrase: Phrase) -> Iterator[int]:
        if phrase.name is not None:
            yield TARGET["name"] + phrase.name
            return
        form = GENDERS if phrase.plural else self.language.gender[phrase.noun]
        yield TARGET["definite" if phrase.definite else "indefinite"] + form
        second = phrase.noun < AMBIGUOUS_NOUNS and self.language.sense[phrase.governor] == 1
        yield TARGET["noun"] + phrase.noun + (NOUNS if second else 0)
        if phrase.plural:
            yield _T[f"PLURAL_{self.language.plural_class[phrase.noun]}"]
        if phrase.adjective is not None:
            other = phrase.adjective < AMBIGUOUS_ADJECTIVES and self.language.gender[phrase.noun] == 1
            yield TARGET["adjective"] + phrase.adjective + (ADJECTIVES if other else 0)
            yield TARGET["ending"] + form
        if phrase.place is not None:
            yield from self._place(phrase.place)
        if phrase.clause is not None:
            yield TARGET["relative"] + form
            yield from self._verb_final(phrase.clause)
