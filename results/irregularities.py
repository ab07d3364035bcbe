"""What was odd in the data that was read, collected so that it can be listed and never passes silently."""

from __future__ import annotations

import dataclasses

EXAMPLES_KEPT = 3


@dataclasses.dataclass(frozen=True)
class Irregularity:
    """Something in the data that a rule had to deal with; ``count`` cases of one kind in one cell, with examples."""

    kind: str
    submission: str | None
    workload: str | None
    message: str
    count: int
    where: tuple[str, ...]


class Irregularities:
    """Collects irregularities, one entry per (kind, submission, workload)."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str, str], tuple[str, int, list[str]]] = {}

    def add(self, kind: str, message: str, *, submission: str = "", workload: str = "", where: str = "") -> None:
        key = (kind, submission, workload)
        first, count, examples = self._cases.get(key, (message, 0, []))
        if where and len(examples) < EXAMPLES_KEPT:
            examples.append(where)
        self._cases[key] = (first, count + 1, examples)

    def as_tuple(self) -> tuple[Irregularity, ...]:
        return tuple(
            Irregularity(kind, submission or None, workload or None, message, count, tuple(sorted(examples)))
            for (kind, submission, workload), (message, count, examples) in sorted(self._cases.items())
        )
