"""Token ids of the targets, and the text that they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Characters:
    """One token per character: the id of ``alphabet[i]`` is i + 1, and 0 is the blank and the padding."""

    alphabet: str

    def encode(self, text: str) -> list[int]:
        return [self.alphabet.index(character) + 1 for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids of 0 are left out."""
        return "".join(self.alphabet[i - 1] for i in ids if i)
