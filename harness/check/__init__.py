"""``timetrial check``: whether an entry keeps the rules, seen in its files and by running it on toys.

:mod:`static` reads (rules in ``rules_*.py``), :mod:`probe` runs in a process that :mod:`process` watches, on the toy
workloads of :mod:`toys`. Every rule is a row of :data:`RULES`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.check import rules_run
from harness.check.findings import RULES, Finding, Rule, of_message
from harness.check.probe import ProbeTask
from harness.check.process import Limits, run_probe
from harness.check.static import check_files, functions_of
from harness.check.toys.workload import TOYS
from harness.entry import Entry, find_entry, locate
from harness.errors import UsageError, unknown
from harness.spec import Framework

__all__ = ["RULES", "Finding", "Limits", "Report", "Rule", "check", "rules_run"]

LOSSES = ("softmax", "sigmoid", "absolute", "ctc")
"""Types of loss that workloads of AlgoPerf have; ``squared`` can be asked for."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
      path: the entry's main file.
      ran: frameworks in which it ran; empty where its files already kept it from running.
      losses: the types of loss it ran on.
    """

    path: Path
    findings: tuple[Finding, ...]
    ran: tuple[Framework, ...]
    losses: tuple[str, ...]

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "clean": not self.errors,
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "ran": list(self.ran),
            "losses": list(self.losses),
            "findings": [finding.to_json() for finding in self.findings],
        }


def check(
    reference: str,
    *,
    losses: Sequence[str] = LOSSES,
    run: bool = True,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Checks the entry that a name or a path means.

    Args:
      losses: keys of ``TOYS`` to run on.
      run: False to look at the files alone.
      say: is told what begins.

    Raises:
      UsageError: there is no such entry, or no such loss.
    """
    for loss in losses:
        if loss not in TOYS:
            raise unknown("loss", loss, TOYS)
    path = locate(reference)
    say(f"reading {path}")
    findings = check_files(path)
    entry = _entry(reference, path, findings)
    ran = entry.frameworks if entry is not None and run else ()
    for framework in ran:
        assert entry is not None
        say(f"running it in {framework}")
        task = ProbeTask(entry, framework, tuple(losses), functions_of(path))
        findings += _new(run_probe(task, limits or Limits()), findings)
    return Report(path, tuple(sorted(set(findings))), ran, tuple(losses) if ran else ())


_BLOCKING = frozenset({"source", "missing-function", "arguments", "composition", "search-space", "machine-code"})
"""Rules whose breach keeps an entry from being run."""


def _entry(reference: str, path: Path, findings: list[Finding]) -> Entry | None:
    """The entry, where its files let it run; adds what else stands against it."""
    if any(finding.rule in _BLOCKING for finding in findings):
        return None
    try:
        return find_entry(reference)
    except UsageError as error:
        if not findings or all(finding.rule != "search-space-per-workload" for finding in findings):
            text = str(error).partition("\n")[0]
            findings.append(of_message("dependency" if "is not installed" in text else "entry", text, path))
        return None


def _new(found: Sequence[Finding], known: Sequence[Finding]) -> list[Finding]:
    """Findings that the files did not already show, with a better line."""
    seen = {(finding.rule, finding.path) for finding in known if not finding.framework}
    return [finding for finding in found if (finding.rule, finding.path) not in seen]
