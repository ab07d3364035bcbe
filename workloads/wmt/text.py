"""Parallel text on disk: lines of plain text, or the segments of a WMT test set in SGML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from workloads.real_data import Problem

REMEDY = "unpack the WMT archives again"
_SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg>", re.DOTALL)
Pair = tuple[str, str]


def sentences(path: Path) -> Iterator[str]:
    """One sentence after the other, UTF-8: the lines, or in ``.sgm`` the segments.

    Raises:
      WorkloadError: the file is not UTF-8, ends within a line, or holds no segment.
    """
    yield from _segments(path) if path.suffix == ".sgm" else _lines(path)


def pairs(source: Path, target: Path) -> Iterator[Pair]:
    """Sentences of two files side by side, those with an empty side included.

    Raises:
      WorkloadError: one file has more sentences than the other.
    """
    sides, end = (sentences(source), sentences(target)), object()
    for number in _count():
        pair = tuple(next(side, end) for side in sides)
        if all(part is end for part in pair):
            return
        if any(part is end for part in pair):
            short, other = (source, target) if pair[0] is end else (target, source)
            raise Problem(short, f"ends after {number:,} sentences, {other.name} goes on", REMEDY).error()
        yield pair  # type: ignore[misc]


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _lines(path: Path) -> Iterator[str]:
    """Split at line feeds only: Europarl has other separators within its lines."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                raise Problem(path, "the last line is cut short, it has no line feed", REMEDY, number).error()
            try:
                yield line[:-1].decode()
            except UnicodeDecodeError as error:
                raise Problem(path, f"is not UTF-8 ({error.reason})", REMEDY, number).error() from None


def _segments(path: Path) -> Iterator[str]:
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Problem(path, f"is not UTF-8 ({error.reason})", REMEDY).error() from None
    opened, found = len(re.findall(r"<seg\b", content)), _SEGMENT.findall(content)
    if not found or opened != len(found):
        raise Problem(path, f"{opened} segments begin and {len(found)} are whole", REMEDY).error()
    yield from map(html.unescape, found)
