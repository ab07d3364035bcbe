"""Starts a new submission from the template entry of a framework."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness.entry import INFO_FILE, entries_folder
from harness.errors import UsageError
from harness.spec import Framework


def new_entry(name: str, framework: Framework, into: Path) -> Path:
    """Copies the template to ``into/name``; returns the new folder.

    Raises:
      UsageError: the name is not usable as a folder and module name, or the folder exists.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        where = f", and --into {Path(name).parent} for the folder" if Path(name).name.isidentifier() else ""
        raise UsageError(f"{name!r} is not a usable name; use letters, digits and '_', beginning with a letter{where}")
    folder = into / name
    if folder.exists():
        raise UsageError(f"{folder} exists; choose another name or --into another folder")
    template = entries_folder() / f"template_{framework}"
    try:
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__"))
        info = folder / INFO_FILE
        info.write_text(re.sub(r"(?m)^submission_name:.*$", f"submission_name: {name}", info.read_text()))
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; choose another place with --into") from None
    return folder
