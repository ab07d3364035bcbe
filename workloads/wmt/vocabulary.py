"""The joint vocabulary of both languages: a SentencePiece unigram model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workloads.real_data import Problem
from workloads.sentence_pieces import learned, opened
from workloads.wmt.architecture import END, PAD, UNKNOWN

_REMEDY = "remove it, so that `timetrial data prepare wmt` trains one"


def trained(texts: Iterable[str], size: int, made_from: Path) -> bytes:
    """A serialised model of ``size`` pieces, with this workload's ids of padding, unknown words and sentence ends.

    Raises:
      WorkloadError: the text is too short for so many pieces; and whatever drawing ``texts`` raises.
    """
    return learned(
        texts,
        size,
        made_from,
        "get all of the training data",
        pad_id=PAD,
        unk_id=UNKNOWN,
        eos_id=END,
        bos_id=-1,
        num_threads=1,  # The order of sums, and with it the model, would depend on the number.
    )


class Vocabulary:
    """Text to token ids and back. A model may have been trained elsewhere, with END as its end of sentence."""

    def __init__(self, path: Path, size: int) -> None:
        """Raises:
        WorkloadError: the file is no model, has more than ``size`` pieces, or other special ids.
        """
        self._model: Any = opened(path, _REMEDY)
        pieces = self._model.get_piece_size()
        if pieces > size:
            raise Problem(path, f"has {pieces:,} pieces, the model takes {size:,}", _REMEDY).error()
        special = [i for i in range(END + 1) if self._model.is_control(i) or self._model.is_unknown(i)]
        if self._model.eos_id() != END or len(special) <= END:
            what = f"its end of sentence has the id {self._model.eos_id()}; {END} is needed, and no word below"
            raise Problem(path, what, _REMEDY).error()

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """uint16 token ids of each text, with END behind; unknown pieces are UNKNOWN, never PAD."""
        unknown = self._model.unk_id()
        encoded = [np.array([*ids, END], np.uint16) for ids in self._model.encode(list(texts))]
        return [np.where(ids == unknown, UNKNOWN, ids).astype(np.uint16) for ids in encoded]

    def decode(self, sentences: Sequence[Sequence[int]]) -> list[str]:
        """Detokenised text; ids that no piece has are left out."""
        size = self._model.get_piece_size()
        return self._model.decode([[token for token in tokens if token < size] for tokens in sentences])
