"""Token ids of the targets, and the text that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workloads.real_data import Problem, new_file
from workloads.sentence_pieces import learned, opened


@dataclasses.dataclass(frozen=True)
class Characters:
    """One token per character: the id of ``alphabet[i]`` is i + 1, and 0 is the blank and the padding."""

    alphabet: str

    def encode(self, text: str) -> list[int]:
        return [self.alphabet.index(character) + 1 for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids of 0 are left out."""
        return "".join(self.alphabet[i - 1] for i in ids if i)


class SentencePieces:
    """A SentencePiece vocabulary. The unknown symbol has the id 0, which CTC uses as its blank; start and end of a
    sentence have 1 and 2 in one that is learned here.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    @classmethod
    def load(cls, path: Path, size: int) -> SentencePieces:
        """From a model's file.

        Raises:
          DataError: it is no model, has another number of pieces than ``size``, or other special ids.
        """
        again = f"delete it, so that {size:,} pieces are learned, or put another model in its place"
        processor = opened(path, again)
        found = processor.get_piece_size()
        if found != size:
            raise Problem(path, f"has {found:,} pieces instead of {size:,}", again).error()
        unknown, end = processor.unk_id(), processor.eos_id()
        if unknown != 0 or end < 1:
            what = (
                f"its unknown symbol has the id {unknown}, 0 is needed; its end of sentence {end}, 1 or more is needed"
            )
            raise Problem(path, what, again).error()
        return cls(processor)

    @classmethod
    def learn(cls, path: Path, texts: Iterable[str], size: int, made_from: Path) -> None:
        """Learns ``size`` pieces that cover every character of ``texts``, and writes them to ``path`` at once.

        Raises:
          DataError: the texts, which come from ``made_from``, are too few for that many pieces.
        """
        model = learned(texts, size, made_from, "see that its transcripts are complete")
        with new_file(path) as file:
            file.write(model)

    def encode(self, text: str) -> list[int]:
        """Ids with the end of the sentence behind them; 0 where a character is unknown."""
        return [*self._processor.encode(text), self._processor.eos_id()]

    def decode(self, ids: Sequence[int]) -> str:
        """The text; start and end of a sentence are left out."""
        return self._processor.decode(list(ids))
