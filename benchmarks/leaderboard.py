"""Renews the leaderboard in README.md from the committed records in results/reference.

    python benchmarks/leaderboard.py            # rewrite the part between the markers
    python benchmarks/leaderboard.py --check    # exit 1 where it is not what the records say

The records come from `timetrial run reference --out results/reference`, which runs what is missing and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scoring import api
from scoring.outputs import markdown

ROOT = Path(__file__).parents[1]
README, RECORDS = ROOT / "README.md", ROOT / "results" / "reference"
BEGIN, END = "<!-- leaderboard: benchmarks/leaderboard.py -->\n", "<!-- end of leaderboard -->\n"


def renewed(text: str) -> str:
    """The README's text with the leaderboard that the records give.

    Raises:
      ValueError: the markers are not in the text.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} has no line {BEGIN.strip()!r} before a line {END.strip()!r}; put them back")
    return before + BEGIN + markdown(api.score([RECORDS])) + END + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="Write nothing; exit 1 where the README differs.")
    check = parser.parse_args().check
    found = README.read_text()
    wanted = renewed(found)
    if not check:
        README.write_text(wanted)
    elif found != wanted:
        sys.exit(f"{README.name}: the leaderboard is not what {RECORDS.name} gives; run benchmarks/leaderboard.py")


if __name__ == "__main__":
    main()
