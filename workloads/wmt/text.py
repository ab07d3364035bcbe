"""Parallel text on disk: lines of plain text, or the segments of a WMT test set in SGML."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from pathlib import Path

from workloads.real_data import Problem, utf8

REMEDY = "unpack the WMT archives again"
_SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg>", re.DOTALL)
_HOLE = bytes(8)
"""What a download that broke off leaves in a file. A single zero byte is an odd character of some corpus."""
Pair = tuple[str, str]


def sentences(path: Path) -> Iterator[str]:
    """One sentence after the other, UTF-8: the lines, or in ``.sgm`` the segments.

    Raises:
      WorkloadError: the file is not UTF-8, ends within a line, has a hole, or holds no segment.
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
    """Split at line feeds only: Europarl has other separators within its lines. Carriage returns before them go where
    the first line has one, else they are text."""
    with path.open("rb") as file:
        end = b""
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                raise Problem(path, "the last line is cut short, it has no line feed", REMEDY, number).error()
            if _HOLE in line:
                raise Problem(path, f"has a hole, {line.count(0):,} zero bytes in this line", REMEDY, number).error()
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
                end = b"\r" if line.endswith(b"\r\n") else b""
            yield utf8(line[:-1].removesuffix(end), path, REMEDY, number)


def _segments(path: Path) -> Iterator[str]:
    content = utf8(path.read_bytes(), path, REMEDY)
    opened, found = len(re.findall(r"<seg\b", content)), _SEGMENT.findall(content)
    if not found or opened != len(found):
        raise Problem(path, f"{opened} segments begin and {len(found)} are whole", REMEDY).error()
    yield from map(html.unescape, found)
