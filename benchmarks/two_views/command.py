"""Command line of the calibration."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.two_views import page
from benchmarks.two_views.figure import figure
from benchmarks.two_views.measure import calibrate

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "calibration.md"
FIGURE = ROOT / "docs" / page.FIGURE


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: needs at least 1")
    return number


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Measures, prints the page, and writes it with ``--write``."""
    parser = argparse.ArgumentParser(prog="calibration.py", description="False positives and power, by simulation.")
    parser.add_argument("--comparisons", type=_count, default=1_000, help="simulated comparisons (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its figure")
    arguments = parser.parse_args(arguments_given)
    started = time.process_time()

    def say(line: str) -> None:
        print(f"{time.process_time() - started:6.0f} s  {line}", file=sys.stderr)

    found = calibrate(arguments.comparisons, arguments.seed, say=say)
    text = page.markdown(found)
    print(text, end="")
    if arguments.write:
        FIGURE.parent.mkdir(parents=True, exist_ok=True)
        FIGURE.write_text(figure(found) + "\n")
        PAGE.write_text(text)
        say(f"wrote {PAGE.relative_to(ROOT)} and {FIGURE.relative_to(ROOT)}")
