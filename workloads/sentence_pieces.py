"""SentencePiece unigram models (Kudo & Richardson 2018, arXiv 1808.06226): learned from text, and opened."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workloads.real_data import Problem, damage


def learned(texts: Iterable[str], size: int, made_from: Path, remedy: str, **options: Any) -> bytes:
    """A serialised model of ``size`` pieces that cover every character of ``texts``; ``options`` are the library's.

    Raises:
      DataError: the text is too short for so many pieces; and whatever drawing ``texts`` raises.
    """
    import sentencepiece

    model = io.BytesIO()
    sentences = list(texts)  # What is wrong with the files is to be told here; the library wraps it in its own error.
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="unigram",
            vocab_size=size,
            character_coverage=1.0,
            minloglevel=2,
            **options,
        )
    except RuntimeError as error:
        what = f"is not enough text for a vocabulary of {size:,} pieces ({str(error).split('. ')[-1]})"
        raise Problem(made_from, what, remedy).error() from None
    return model.getvalue()


def opened(path: Path, remedy: str) -> Any:
    """The library's processor.

    Raises:
      DataError: the file is no model.
    """
    import sentencepiece

    with damage(path, "is no SentencePiece model", remedy, RuntimeError):
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
