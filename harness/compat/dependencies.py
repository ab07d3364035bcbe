"""Packages that an entry imports: which are missing, and the pip command that installs them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.compat.installed import ALGOPERF_NAMES, is_installed
from harness.compat.layout import REPOSITORY_ROOTS
from harness.compat.sources import Import, Sources

DISTRIBUTIONS: Mapping[str, str] = {
    "absl": "absl-py",
    "haiku": "dm-haiku",
    "tree": "dm-tree",
    "gin": "gin-config",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "distributed_shampoo": "git+https://github.com/facebookresearch/optimizers.git",
    "learned_optimization": "git+https://github.com/google/learned_optimization.git",
}
"""pip's name of an import whose name differs, or that has no usable release."""

EXTRA = ("flax", "chex", "absl")
"""Imports that ``pip install 'timetrial[algoperf]'`` brings: most of AlgoPerf's entries use them."""


def missing(sources: Sources) -> dict[str, Import]:
    """Packages that are not there, each with the first import that needs it."""
    found: dict[str, Import] = {}
    for each in _foreign(sources):
        if not is_installed(each.top_level) and not (each.optional or each.unused):
            found.setdefault(each.top_level, each)
    return found


def unused_and_missing(sources: Sources) -> frozenset[str]:
    """Packages that are not there and whose every import is for nothing: empty modules can stand for them."""
    absent = [each for each in _foreign(sources) if not is_installed(each.top_level) and not each.optional]
    needed = {each.top_level for each in absent if not each.unused}
    return frozenset(each.top_level for each in absent) - needed


def problem(top_level: str, needed_by: Import, requirements: Mapping[str, str]) -> str:
    """``file:line: needs haiku, which is not installed; run: pip install dm-haiku``."""
    where = f"{needed_by.file}:{needed_by.line}"
    return f"{where}: needs {top_level}, which is not installed; run: {pip_command(top_level, requirements)}"


def pip_command(top_level: str, requirements: Mapping[str, str]) -> str:
    """What installs an import: as the entry's requirements say, else by the package's usual name."""
    name = DISTRIBUTIONS.get(top_level, top_level)
    wanted = requirements.get(_normalised(name)) or requirements.get(_normalised(top_level)) or name
    hint = " (or all that such entries commonly need: pip install 'timetrial[algoperf]')" if top_level in EXTRA else ""
    return f"pip install {_quoted(wanted)}{hint}"


def read_requirements(folder: Path) -> dict[str, str]:
    """Normalised name -> what to install, from ``requirements.txt`` beside an entry; empty where there is none."""
    path = folder / "requirements.txt"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    found: dict[str, str] = {}
    for line in lines:
        text = re.split(r"(?:^|\s)#(?!egg=)", line)[0].strip()
        editable = re.match(r"(?:-e|--editable)\s+(.*)", text)
        text = editable[1] if editable else text
        egg = re.search(r"#egg=([\w.-]+)", text)
        name = egg[1] if egg else re.split(r"[\s<>=!~;\[@]", text, maxsplit=1)[0]
        if name and not name.startswith("-"):
            found[_normalised(name)] = text
    return found


def _foreign(sources: Sources) -> Iterator[Import]:
    """Imports of packages that are neither the entry's own, nor AlgoPerf's, nor part of a repository of entries."""
    layout = sources.layout
    for each in sources.imports:
        if each.level or each.top_level in ALGOPERF_NAMES:
            continue
        own = layout.owns_top_level(each.top_level) or (
            not is_installed(each.top_level) and layout.find(each.module) is not None
        )
        if not own and (each.top_level not in REPOSITORY_ROOTS or layout.find(each.module) is None):
            yield each


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _quoted(requirement: str) -> str:
    return f"'{requirement}'" if re.search(r"[\s<>;&|\[]", requirement) else requirement
