"""The ordinary forms of what a rule forbids, each found on its line, and what looks like it and is fine.

A row is a rule and a text; the rule must find the lines that end in ``# !``, and no others.
"""

import ast
from pathlib import Path

import pytest

from harness.check import RULES
from harness.check.source import Source

READS = """
import csv, json, os, pathlib, pickle, yaml
import numpy as np
from pathlib import Path
HERE = Path(__file__).resolve().parent
TABLE: Path = Path(__file__).parent / "c.json"
TABLE.read_text()
with open(HERE / "c.json") as file:
    json.load(file)
with (HERE / "c.csv").open() as file, open(os.path.join(os.path.dirname(__file__), "c.pkl"), "rb") as other:
    csv.reader(file), pickle.load(other), np.load(other)
yaml.safe_load("a: 1")
def read(name):
    path = HERE / name
    with path.open() as file:
        return json.load(file)
def beside(name):
    return HERE / "data" / name
beside("c.json").read_bytes()
for found in HERE.glob("*.json"):
    found.read_text()
class Config:
    path = HERE / "data" / ".." / "c.json"
    values = json.loads(path.read_text())
    def __init__(self):
        self.path = HERE / "c.npy"
    def load(self):
        return np.load(self.path)
def save(engine, mask):
    engine.open(), mask.exists, engine.stat().replace("a", "b")
"""

FORMS = [
    ("reads-files", READS),
    ("reads-files", "def load(path='/data/t'):\n    with open(path) as file:  # !\n        return json.load(file)"),
    ("reads-files", "import pathlib\npathlib.Path('/etc/hostname').open()  # !\npathlib.Path('log').open('a')"),
    ("reads-files", "from pathlib import Path\nETC = Path('/etc')\nETC.glob('*')  # !\n(ETC / 'x').exists()  # !"),
    ("reads-files", "from pathlib import Path\ndef load(path: Path):\n    return path.open()  # !"),
    ("reads-files", "from pathlib import Path\nUP = Path(__file__).parent.parent.parent\n(UP / 'x').read_text()  # !"),
    ("reads-files", "from pathlib import Path\nlist(Path(__file__).parents[3].iterdir())  # !"),
    ("reads-files", "from pathlib import Path\nlist(Path(__file__).parent.glob('../*'))  # !"),
    ("reads-files", "import os\nopen(os.path.join(os.path.dirname(__file__), '..', 'other'))  # !"),
    ("reads-files", "import os\nopen(os.path.dirname(__file__) + '/../other')  # !"),
    ("reads-files", "import os\nopen(f'{os.path.dirname(__file__)}/../other')  # !"),
    ("reads-files", "import os\nopen(os.path.join(os.path.dirname(__file__), '/etc/passwd'))  # !"),
    ("writes-files", "from pathlib import Path\nPath('/tmp/log').open('a')  # !\nPath('/tmp/log').open()"),
    ("writes-files", "import logging\nlogging.FileHandler('log')  # !\nlogging.StreamHandler()"),
    ("writes-files", "import logging\nlogging.basicConfig(filename='log')  # !\nlogging.basicConfig(level=10)"),
    ("writes-files", "from torch.utils.tensorboard import SummaryWriter\nSummaryWriter('runs')  # !"),
]


@pytest.mark.parametrize(("rule", "text"), FORMS)
def test_a_rule_finds_the_forms_of_what_it_forbids_and_nothing_else(rule, text):
    assert found_by(rule, text) == [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# !")]


def test_a_file_in_a_package_may_reach_up_to_the_folder_of_the_entry():
    text = "from pathlib import Path\n(Path(__file__).parent.parent / 'c.json').read_text()"
    assert found_by("reads-files", text, Path("/entries/mine/package/reading.py")) == []
    assert found_by("reads-files", text.replace(".parent.", ".parent.parent."), Path("/entries/mine/package/r.py")) == [
        2
    ]


def found_by(rule, text, path=Path("/entries/mine/submission.py")):
    source = Source(path, ast.parse(text), root=Path("/entries/mine"))
    look = RULES[rule].look
    assert look is not None
    return sorted({node.lineno for node, _ in look(source)})
