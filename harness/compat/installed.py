"""Which top-level packages this machine has, apart from an entry's own files."""

from __future__ import annotations

import sys

from harness.compat.layout import REPOSITORY_ROOTS

ALGOPERF_NAMES = ("algoperf", "algorithmic_efficiency")
"""AlgoPerf's package, by its present and its older name."""


def is_installed(top_level: str) -> bool:
    """Whether a top-level package can be imported; does not import it, and asks no finder of an active entry."""
    if top_level in sys.stdlib_module_names:
        return True
    for finder in sys.meta_path:
        find_spec = None if hasattr(finder, "serves_an_entry") else getattr(finder, "find_spec", None)
        if find_spec is not None and find_spec(top_level, None) is not None:
            return True
    return False


def is_foreign(top_level: str) -> bool:
    """Whether a top-level name is another package's for certain. ``submissions`` is timetrial's and every entry's."""
    return top_level in ALGOPERF_NAMES or (top_level not in REPOSITORY_ROOTS and is_installed(top_level))
