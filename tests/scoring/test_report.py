import html
import math
import re
import shutil
import subprocess

import pytest

from results.evaluations import Goal
from results.synthetic import write_runs
from scoring.errors import ScoringError
from scoring.report import write_report

GOALS = {"mnist": Goal("accuracy", "maximize", 0.97, 60.0), "lm": Goal("ppl", "minimize", 20.0, 60.0)}
OUTCOMES = {
    "quick": {"mnist": [[10.0], [11.0], [10.5]], "lm": [[20.0], [21.0], [22.0]]},
    "slow<b>": {"mnist": [[30.0], [31.0], [29.0]], "lm": [[math.inf]] * 3},
}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    runs = write_runs(folder / "runs", OUTCOMES, GOALS)
    (runs / "run.json").write_text('{"command": "timetrial run quick --seed 0", "seed": 0}')
    return write_report([runs], folder / "report", title="A & B")


def test_the_page_says_what_matters(report):
    text = html.unescape(report.read_text())
    assert "<h1>A & B</h1>" in text
    assert "quick is fastest (best in 100.0% of resampled studies)." in text
    assert "budget exhausted: budget spent; best ppl 21, target 20" in text
    assert "timetrial run quick --seed 0" in text and "class synthetic" in text
    assert "Target: validation ppl ≤ 20, budget 60 s" in text


def test_the_page_needs_nothing_else(report):
    text = report.read_text()
    assert "<script" not in text and "<link" not in text and "@import" not in text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [address for address in addresses if not address.startswith(("#", "data:"))]
    assert set(local) == {"score.json", "scores.csv", "time_to_target.csv", "profile.csv", "leaderboard.md"}
    assert all((report.parent / name).exists() for name in local)


def test_names_are_escaped_and_ids_are_unique(report):
    text = report.read_text()
    assert "slow<b>" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.count("<svg") == 4


def test_the_same_results_give_the_same_bytes(report):
    again = write_report([report.parent.parent / "runs"], report.parent.parent / "again", title="A & B")
    assert again.read_bytes() == report.read_bytes()


def test_one_study_has_no_interval(tmp_path):
    runs = write_runs(tmp_path / "runs", {"one": {"mnist": [[10.0]]}}, GOALS)
    text = write_report([runs], tmp_path / "report").read_text()
    assert "Only one was scored" in text and "No bands below three studies" in text
    assert "None: every expected trial is there" in text


def test_three_entries_get_a_critical_difference_diagram(tmp_path):
    outcomes = {**OUTCOMES, "third": {"mnist": [[20.0]] * 3, "lm": [[30.0]] * 3}}
    text = write_report([write_runs(tmp_path / "runs", outcomes, GOALS)], tmp_path / "report").read_text()
    assert "critical difference" in text and text.count("<svg") == 5


def test_crashed_diverged_and_steep_trials_can_be_drawn(tmp_path):
    steep = [(1.0, 5000.0), (2.0, 900.0), (3.0, 30.0), (4.0, 19.0)]
    diverged = [(1.0, 30.0), (2.0, math.nan), (3.0, math.inf)]
    outcomes = {
        "crashed": {"mnist": [[[]]] * 3, "lm": [[steep]] * 3},
        "diverged": {"mnist": [[[]]] * 3, "lm": [[diverged]] * 3},
    }
    text = write_report([write_runs(tmp_path / "runs", outcomes, GOALS)], tmp_path / "report").read_text()
    assert text.count("<svg") == 4 and "crashed is fastest" in text
    assert "no evaluations" in text and "nan metric" in text


def test_no_results_no_page(tmp_path):
    with pytest.raises(ScoringError, match="holds no trials"):
        write_report([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_it(report, tmp_path):
    def chromium(*arguments):
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments, report.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    dom = chromium("--dump-dom").stdout
    assert 'id="verdict">quick is fastest' in dom
    assert dom.count("<svg") == 4 and dom.count("<table") == 5
    assert 'id="times-lm"' in dom and "</html>" in dom
    shot = tmp_path / "page.png"
    chromium(f"--screenshot={shot}", "--window-size=1200,2400")
    assert shot.stat().st_size > 20_000
