"""An entry may read what lies beside it, also through a helper that is handed the path."""

import pytest

from harness.check import check
from harness.scaffold import new_entry

READER = "def load(path, mode='rb'):\n    with open(path, mode) as file:\n        return file.read()\n"
BESIDE = "import pathlib\nfrom .reading import load\n\nWEIGHTS = pathlib.Path(__file__).with_name('weights')\n"
ELSEWHERE = "from .reading import load\n\n"


@pytest.mark.parametrize(
    ("head", "calls"),
    [(BESIDE, "load(WEIGHTS)"), (BESIDE, "load(mode='rb', path=WEIGHTS)"), (BESIDE, "load(WEIGHTS), load(WEIGHTS)")],
)
def test_a_helper_that_is_only_given_paths_beside_the_source_may_open_them(head, calls, tmp_path):
    assert found_in(head, calls, tmp_path) == []


@pytest.mark.parametrize(
    ("head", "calls"),
    [
        (ELSEWHERE, "load('/data/validation')"),
        (ELSEWHERE, "None"),
        (BESIDE, "load(WEIGHTS), load('/data/validation')"),
        (BESIDE, "load('/data/validation', WEIGHTS)"),
        (BESIDE, "load(WEIGHTS), (lambda f: f('/data/validation'))(load)"),
        (BESIDE, "load(WEIGHTS), list(map(load, ['/data/validation']))"),
        (BESIDE, "load(WEIGHTS), load(*['/data/validation'])"),
        (BESIDE, "load(WEIGHTS), load(**{'path': '/data/validation'})"),
    ],
)
def test_a_helper_that_may_be_given_another_path_is_found_where_it_opens(head, calls, tmp_path):
    assert found_in(head, calls, tmp_path) == [("reads-files", "reading.py", 2)]


def test_a_helper_that_opens_another_path_than_it_was_given_is_found(tmp_path):
    reader = READER.replace("    with", "    path = '/data/validation'\n    with")
    assert found_in(BESIDE, "load(WEIGHTS)", tmp_path, reader) == [("reads-files", "reading.py", 3)]


def found_in(head, calls, tmp_path, reader=READER):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "reading.py").write_text(reader)
    (entry / "weights").write_bytes(b"1")
    source = (entry / "submission.py").read_text()
    assert source.count("import math\n") == 1
    (entry / "submission.py").write_text(
        source.replace("import math\n", f"import math\n{head}") + f"\n\nREAD = {calls}\n"
    )
    return [(f.rule, f.path.name, f.line) for f in check(str(entry), run=False).findings]
