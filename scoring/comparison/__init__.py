"""Comparing submissions: samples of runs, a test, and a verdict in words; see docs/comparing.md."""

from scoring.comparison.compare import Comparison, check, compare
from scoring.comparison.designs import DESIGNS, Design
from scoring.comparison.nested import NestedResult, nested
from scoring.comparison.responses import RESPONSES, Response
from scoring.comparison.samples import Run, Sample, on_one_machine, read_run
from scoring.comparison.verdicts import Row, Verdict

__all__ = [
    "DESIGNS",
    "RESPONSES",
    "Comparison",
    "Design",
    "NestedResult",
    "Response",
    "Row",
    "Run",
    "Sample",
    "Verdict",
    "check",
    "compare",
    "nested",
    "on_one_machine",
    "read_run",
]
