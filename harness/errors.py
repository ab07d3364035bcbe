"""Errors for people: what is wrong, where, and how to mend it. The command line prints them and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A command, file or folder given by the user cannot be used."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean 'mnist'? known: cifar, mnist``; the first half only when something is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names) if names else 'none'}"


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    return UsageError(f"unknown {kind} {name!r}; {suggestion(name, known)}")
