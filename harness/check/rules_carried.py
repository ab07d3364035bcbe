"""The rules against entries that bring along what is no source: machine code, and what they should learn, which is
trained parameters or data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from harness.check.findings import Finding, declare, finding
from harness.compat.sources import Sources
from harness.entry import files_in
from harness.machine_code import machine_code_in

MOST_BYTES = 64 * 1024
"""Of files beside the sources, together: a search space and notes take a few. What has been learned takes more: mnist's
network at a byte per parameter 100 KB."""
MOST_LETTERS, MOST_NUMBERS = 32 * 1024, 4096
"""Of constants that are written in a file, without what documents it."""
_TEXTS = ("readme", "license", "licence", "notice", "changelog")

declare(
    "files",
    {
        "carried-data": (
            "warning",  # a learned optimizer rightly has its own parameters
            "brings no trained parameters of a workload's model and no data along, in files or in constants",
            "say in submission_info.yml what it is and how it was made; keep figures and results out of the folder",
        ),
        "machine-code": (
            "error",
            "brings no machine code along (an ELF, Mach-O or PE file, whatever its name)",
            "remove the file, and write what it does in Python",
        ),
    },
)


def carried(folder: Path | None, sources: Sources) -> Iterator[Finding]:
    """Findings in the files of an entry's own folder, where it has one, and in the constants of its sources."""
    for file, tree in sources.trees.items():
        letters, numbers = _written(tree)
        if letters > MOST_LETTERS:
            yield finding("carried-data", file, 1, f"has {letters:,} letters in constants (at most {MOST_LETTERS:,})")
        if numbers > MOST_NUMBERS:
            yield finding("carried-data", file, 1, f"has {numbers:,} numbers written out (at most {MOST_NUMBERS:,})")
    if folder is None:
        return
    for file, kind in machine_code_in(files_in(folder)):
        yield finding("machine-code", file, 1, f"is machine code ({kind})")
    sizes = {file: file.stat().st_size for file in files_in(folder) if file not in sources.trees}
    counted = {file: size for file, size in sizes.items() if size > MOST_BYTES or not _is_text_about_it(file)}
    if sum(counted.values()) > MOST_BYTES:
        largest = max(counted, key=counted.__getitem__)
        amounts = f"{sum(counted.values()):,} bytes in files beside its sources (at most {MOST_BYTES:,})"
        yield finding("carried-data", largest, 1, f"has {amounts}, {counted[largest]:,} of them here")


def _is_text_about_it(file: Path) -> bool:
    return file.suffix == ".py" or file.name.lower().startswith(_TEXTS)


def _written(tree: ast.AST) -> tuple[int, int]:
    """Letters and numbers of constants; a text that is nobody's value documents something."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documents]
    letters = sum(len(value) for value in values if isinstance(value, str | bytes))
    return letters, sum(isinstance(value, int | float | complex) for value in values)
