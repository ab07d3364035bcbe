"""Lines of Criteo's click logs to numbers: a label, 13 integers and 26 codes of eight hexadecimal digits, by tabs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from workloads.criteo1tb.architecture import CATEGORIES, DENSE
from workloads.criteo1tb.hashing import table_rows
from workloads.real_data import Problem

COLUMNS = 1 + DENSE + CATEGORIES
REMEDY = "unpack this day again and cut it into shards again"
_DIGITS = 8
_MISSING_COUNT = -1
_CHARACTERS = b"0123456789abcdefABCDEF-\t\r\n"
_NIBBLES = np.full(256, 255, np.uint8)
for _digit in range(16):
    _NIBBLES[[ord(f"{_digit:x}"), ord(f"{_digit:X}")]] = _digit


def parse(text: bytes, vocabulary: int, path: Path, first_line: int) -> np.ndarray:
    """Lines as float32 ``[n, 40]``: the label, log(1 + max(count, 0)), rows of a table of ``vocabulary`` rows.

    A missing count is taken as -1, so that it becomes 0; a missing category as the code 00000000, as AlgoPerf does.

    Raises:
      DataError: a line is malformed; names it, counting from ``first_line``.
    """
    import pyarrow
    from pyarrow import csv

    names = [str(i) for i in range(COLUMNS)]
    code = pyarrow.binary(_DIGITS)
    types = {name: code if i > DENSE else pyarrow.int64() for i, name in enumerate(names)}
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            csv.ReadOptions(column_names=names),
            csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=[""]),
        )
        parsed = np.empty((len(table), COLUMNS), np.float32)
        for i in range(1 + DENSE):
            column = table.column(i)
            if i == 0 and column.null_count:
                raise ValueError
            parsed[:, i] = np.asarray(column.fill_null(_MISSING_COUNT), np.float32)
        codes = np.empty((len(table), CATEGORIES), np.uint32)
        for i in range(CATEGORIES):
            codes[:, i] = _codes(table.column(1 + DENSE + i).fill_null(pyarrow.scalar(b"0" * _DIGITS, code)))
    except (pyarrow.ArrowInvalid, ValueError):
        raise _first_malformed(text, path, first_line).error() from None
    if not np.isin(parsed[:, 0], (0, 1)).all():
        raise _first_malformed(text, path, first_line).error()
    counts = parsed[:, 1 : 1 + DENSE]
    np.log1p(np.maximum(counts, 0, out=counts), out=counts)
    parsed[:, 1 + DENSE :] = table_rows(codes, vocabulary)
    return parsed


def is_foreign(text: bytes) -> bool:
    """Whether a byte occurs that no label, count or code has; a third of the time of a table looked up by numpy."""
    return bool(text.translate(None, _CHARACTERS))


def _codes(column: Any) -> np.ndarray:
    """uint32 ``[n]`` of a column of eight bytes each.

    Raises:
      ValueError: a byte is no hexadecimal digit.
    """
    whole = column.combine_chunks()
    nibbles = _NIBBLES[np.frombuffer(whole.buffers()[1], np.uint8, len(whole) * _DIGITS, whole.offset * _DIGITS)]
    if nibbles.max() > 15:
        raise ValueError
    return (nibbles[0::2] << 4 | nibbles[1::2]).view(">u4")


def _first_malformed(text: bytes, path: Path, first_line: int) -> Problem:
    for line, content in enumerate(text.removesuffix(b"\n").split(b"\n"), first_line):
        if what := fault(content):
            return Problem(path, what, REMEDY, line)
    return Problem(path, "cannot be parsed", REMEDY, first_line)


def fault(line: bytes) -> str:
    """What is wrong with a line without its end; empty where nothing is."""
    fields = line.split(b"\t")
    if len(fields) != COLUMNS:
        return f"has {len(fields)} fields instead of {COLUMNS}"
    if fields[0] not in (b"0", b"1"):
        return f"field 1 is {_shown(fields[0])}, no label 0 or 1"
    for i, field in enumerate(fields[1:], 1):
        digits = field.removeprefix(b"-") if i <= DENSE else field
        if i <= DENSE and field and not (digits.isdigit() and len(digits) < 19):
            return f"field {i + 1} is {_shown(field)}, no integer"
        if i > DENSE and field and not (len(field) == _DIGITS and _NIBBLES[list(field)].max() < 16):
            return f"field {i + 1} is {_shown(field)}, not {_DIGITS} hexadecimal digits"
    return ""


def _shown(field: bytes) -> str:
    return repr(field[:20].decode("latin-1"))
