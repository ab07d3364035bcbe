"""Findings, the rules that make them, and the table of all rules."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.check.source import Source

Severity = Literal["error", "warning"]
Hit = tuple[ast.AST, str]
"""A node that breaks a rule, and what it does."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule of the check.

    Attributes:
      id: its name in reports.
      severity: an ``error`` keeps an entry out; a ``warning`` is for a person to judge.
      summary: what an entry must do or leave.
      mend: how an entry that breaks it is mended.
      kind: ``source`` (seen in the source), ``files`` (in the entry's files) or ``run`` (seen when it ran).
      look: finds breaches in one source file; only rules of kind ``source`` have it.
    """

    id: str
    severity: Severity
    summary: str
    mend: str
    kind: Literal["source", "files", "run"]
    look: Callable[[Source], Iterable[Hit]] | None = None

    def to_json(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("id", "severity", "kind", "summary", "mend")}


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """What is wrong, where, and how to mend it. ``line`` counts from 1; ``framework`` is empty for what was read."""

    path: Path
    line: int
    rule: str
    message: str
    mend: str
    severity: Severity
    framework: str = ""

    def __str__(self) -> str:
        where = f" [{self.framework}]" if self.framework else ""
        return f"{self.path}:{self.line}: {self.severity}: {self.rule}{where}: {self.message}; {self.mend}"

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "path": str(self.path)}


RULES: dict[str, Rule] = {}
"""Every rule by its id."""


def declare(kind: Literal["files", "run"], table: Mapping[str, tuple[Severity, str, str]]) -> None:
    """Adds rules that are not looked for in one source file: id -> (severity, summary, how to mend it)."""
    RULES.update({name: Rule(name, *row, kind=kind) for name, row in table.items()})


def source_rule(
    name: str, severity: Severity, summary: str, mend: str
) -> Callable[[Callable[[Source], Iterable[Hit]]], Callable[[Source], Iterable[Hit]]]:
    """Adds a rule whose breaches the decorated function finds in a source file."""

    def add(look: Callable[[Source], Iterable[Hit]]) -> Callable[[Source], Iterable[Hit]]:
        RULES[name] = Rule(name, severity, summary, mend, "source", look)
        return look

    return add


def finding(
    name: str, path: Path, line: int, message: str, framework: str = "", severity: Severity | None = None
) -> Finding:
    rule = RULES[name]
    return Finding(path, line, name, message, rule.mend, severity or rule.severity, framework)


_WHERE = re.compile(r"^(?P<path>.*?\.(?:py|ya?ml|json))(?::(?P<line>\d+))?: (?P<message>.*)$", re.DOTALL)


def of_message(name: str, text: str, default: Path) -> Finding:
    """A finding from an error of the form ``file:line: message``, which may say what to ``run`` to mend it."""
    found = _WHERE.match(text)
    where = (default, 1) if found is None else (Path(found["path"]), int(found["line"] or 1))
    message, _, command = (found["message"] if found else text).partition("; run: ")
    made = finding(name, *where, message)
    return dataclasses.replace(made, mend=f"run: {command}") if command else made
