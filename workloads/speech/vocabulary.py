"""Token ids of the targets, and the text that they stand for."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workloads.real_data import Problem


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
    """A SentencePiece unigram vocabulary (Kudo & Richardson 2018, arXiv 1808.06226).

    Ids 0, 1 and 2 are the unknown symbol, the start and the end of a sentence. CTC uses 0 as its blank.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    @classmethod
    def load(cls, path: Path, size: int) -> SentencePieces:
        """From a model's file.

        Raises:
          DataError: it cannot be read, or has another number of pieces than ``size``.
        """
        import sentencepiece

        again = f"delete it, so that {size:,} pieces are learned, or put another model in its place"
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        except (OSError, RuntimeError) as error:
            raise Problem(path, f"is not a SentencePiece model ({error})", again).error() from error
        found = processor.get_piece_size()
        if found != size:
            raise Problem(path, f"has {found:,} pieces instead of {size:,}", again).error()
        return cls(processor)

    @classmethod
    def learn(cls, path: Path, texts: Iterable[str], size: int) -> None:
        """Learns ``size`` pieces that cover every character of ``texts``, and writes them to ``path`` at once.

        Raises:
          DataError: the texts are too few for that many pieces.
        """
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type="unigram",
                vocab_size=size,
                character_coverage=1.0,
                minloglevel=2,
            )
        except RuntimeError as error:
            remedy = "see that the transcripts are complete"
            raise Problem(path, f"{size:,} pieces cannot be learned ({error})", remedy).error() from error
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(model.getvalue())
        temporary.replace(path)

    def encode(self, text: str) -> list[int]:
        """Ids with the end of the sentence behind them; 0 where a character is unknown."""
        return [*self._processor.encode(text), self._processor.eos_id()]

    def decode(self, ids: Sequence[int]) -> str:
        """The text; start and end of a sentence are left out."""
        return self._processor.decode(list(ids))
