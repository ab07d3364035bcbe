"""What the tests of the check share: entries with a planted defect, and one rule applied to a text."""

import ast
from pathlib import Path

import pytest

from harness.check import RULES
from harness.check.source import Source
from harness.compat.layout import Layout
from harness.scaffold import new_entry

STEP = "    optimizer.step()\n    return "


@pytest.fixture
def edited(tmp_path):
    """Writes a clean template with edits as ``planted`` takes them, and gives its folder."""

    def edit(edits, files=None, framework="torch"):
        entry = new_entry("mine", framework, tmp_path)
        source = (entry / "submission.py").read_text()
        for old, new in _as_replacements(edits).items():
            assert source.count(old) == 1, f"{old!r} must stand in the template once"
            source = source.replace(old, new)
        (entry / "submission.py").write_text(source)
        for name, text in (files or {}).items():
            (entry / name).write_text(text)
        return entry

    return edit


@pytest.fixture
def planted(edited):
    """Writes a clean template with a defect, and gives its folder and what must be found there."""

    def plant(rule, at, edits, files=None, where="submission.py", framework="torch", loss="", says=""):
        """
        Args:
          at: what the line contains on which the defect must be found, the first of such in the file ``where``.
          edits: texts of the template with what replaces them; ``top`` is a line beside its imports, ``end`` lines at
            the end of its update_params.
          files: texts beside the source.
          loss, says: for the test; not used here.
        """
        entry = edited(edits, files, framework)
        lines = (entry / where).read_text().splitlines()
        return entry, (rule, where, next(i for i, line in enumerate(lines, 1) if at in line))

    return plant


def _as_replacements(edits):
    edits = dict(edits)
    if "top" in edits:
        edits["import math\n"] = f"import math\n{edits.pop('top')}\n"
    if "end" in edits:
        lines = "".join(f"    {line}\n" for line in edits.pop("end"))
        edits[STEP] = STEP.replace("    return", f"{lines}    return")
    return edits


@pytest.fixture
def lines_found_by():
    """The lines of a text that a rule finds, where the text is a file of an entry."""

    def find(rule, text, path=Path("/entries/mine/submission.py")):
        folder = Path("/entries/mine")
        source = Source(path, ast.parse(text), layout=Layout(folder / "submission.py", folder))
        return sorted({node.lineno for node, _ in RULES[rule].look(source)})

    return find
