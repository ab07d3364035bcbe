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


WEIGHTS = "A" * 70_000


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"table.npz": WEIGHTS}, "table.npz"),
        ({"a.bin": WEIGHTS[:40_000], "notes.txt": WEIGHTS[:40_000]}, "a.bin"),
        ({"README.md": WEIGHTS}, "README.md"),
        ({"submission.py": f"import torch\nDATA = b'{WEIGHTS}'\n"}, "submission.py"),
        ({"submission.py": f"import torch\nTABLE = {[0.5] * 5_000}\n"}, "submission.py"),
    ],
)
def test_what_an_entry_should_learn_and_brings_along_is_found(files, where, tmp_path):
    assert carried_in(files, tmp_path) == [("carried-data", where, 1)]


def test_notes_and_tables_of_an_honest_size_are_none_of_that(tmp_path):
    documented = f'"""{WEIGHTS}"""\nimport torch\nCOEFFICIENTS = {[0.1] * 1_000}\nTEXT = "{WEIGHTS[:30_000]}"\n'
    files = {"submission.py": documented, "LICENSE": WEIGHTS[:40_000], "README.md": WEIGHTS[:40_000], "own.json": "[]"}
    folder = tmp_path / "entry"
    for results in ("runs/run.json", "runs/curve.bin", ".cache/blob"):
        (folder / results).parent.mkdir(parents=True, exist_ok=True)
        (folder / results).write_text(WEIGHTS)
    assert carried_in(files, tmp_path) == []


def carried_in(files, tmp_path):
    folder = tmp_path / "entry"
    folder.mkdir(exist_ok=True)
    for name, text in {"submission.py": "import torch\n", **files}.items():
        (folder / name).write_text(text)
    report = check(folder, run=False)
    return [(f.rule, f.path.name, f.line) for f in report.findings if f.rule == "carried-data"]


def test_machine_code_beside_the_sources_is_found_and_keeps_the_entry_from_being_run(tmp_path):
    (tmp_path / "submission.py").write_text("import torch\n")
    (tmp_path / "weights.bin").write_bytes(b"\x7fELF\x02\x01\x01")
    report = check(tmp_path)
    found = [f for f in report.findings if f.path.name == "weights.bin"]
    assert [(f.rule, f.severity, f.message) for f in found] == [("machine-code", "error", "is machine code (ELF)")]
    assert report.ran == ()


PATHS = """
from pathlib import Path
HERE = Path(__file__).resolve().parent
CONFIG = HERE / "config.json"
ABOVE = HERE.parent.parent
ETC = Path("/etc")
class Files:
    config = HERE / "config.json"
    hosts = ETC / "hosts"
def beside(name):
    return HERE / name
"""


@pytest.mark.parametrize(
    "uses",
    [
        "from .paths import CONFIG\nREAD = open(CONFIG).read()",
        "from paths import CONFIG as C\nREAD = C.read_text()",
        "import paths\nREAD = paths.CONFIG.read_text()",
        "from . import paths as p\nREAD = open(p.HERE / 'config.json').read()",
        "from mine.paths import *\nREAD = open(CONFIG).read()",
        "from .paths import Files\nREAD = Files.config.read_text()",
        "from .paths import beside\nREAD = beside('config.json').read_text()",
        "from .again import WHERE\nREAD = (WHERE / 'config.json').open().read()",
    ],
)
def test_paths_beside_the_source_may_be_defined_in_another_file_of_the_entry(uses, tmp_path):
    assert found_in(f"{uses}\n", "READ", tmp_path, **MODULES) == []


@pytest.mark.parametrize(
    "uses",
    [
        "from .paths import ETC\nREAD = open(ETC / 'hosts').read()",
        "from .paths import ETC\nREAD = ETC.exists()",
        "from .paths import ABOVE\nREAD = list(ABOVE.iterdir())",
        "from .paths import Files\nREAD = Files.hosts.read_text()",
        "from .paths import CONFIG\nREAD = (CONFIG.parent.parent / 'other').read_text()",
        "import paths\nREAD = paths.ABOVE.glob('*')",
    ],
)
def test_other_paths_that_another_file_of_the_entry_defines_are_found(uses, tmp_path):
    assert [name for name, _, _ in found_in(f"{uses}\n", "READ", tmp_path, **MODULES)] == ["reads-files"]


MODULES = {"paths": PATHS, "again": "from .paths import HERE as WHERE\nfrom . import submission\n"}


@pytest.mark.parametrize(
    ("parameters", "call"),
    [
        ("path=HERE / 'weights'", "load()"),
        ("*, path", "load(path=HERE / 'weights')"),
        ("mode, path=HERE / 'weights'", "load('rb')"),
    ],
)
def test_a_helper_may_have_a_path_beside_the_source_as_its_default(parameters, call, tmp_path):
    reader = f"from .paths import HERE\ndef load({parameters}):\n    return open(path).read()\n"
    head = "from .reading import load\nfrom .paths import HERE\n"
    assert found_in(head, call, tmp_path, reader, **MODULES) == []
    elsewhere = reader.replace("HERE / 'weights'", "'/etc/hosts'")
    head = head.replace("from .paths import HERE", "HERE = '/etc'\n")
    assert found_in(head, call, tmp_path / "other", elsewhere, **MODULES) == [("reads-files", "reading.py", 3)]


@pytest.mark.parametrize(
    "uses",
    [
        "import importlib.resources\nREAD = importlib.resources.files(__package__).joinpath('weights').read_text()",
        "from importlib import resources as r\nREAD = (r.files(__package__) / 'weights').read_bytes()",
        "from importlib.resources import files\nHERE = files(__package__)\nREAD = open(HERE / 'weights').read()",
        "from importlib import resources\nREAD = resources.read_text(__package__, 'weights')",
        "import importlib.resources as r\nwith r.as_file(r.files(__package__) / 'weights') as f:\n    READ = open(f)",
        "import pkgutil\nREAD = pkgutil.get_data(__name__, 'weights')",
        "from pkgutil import get_data as data\nREAD = data(__package__, 'weights')",
    ],
)
def test_a_file_beside_the_source_may_be_read_as_a_resource_of_its_package(uses, tmp_path):
    assert found_in(f"{uses}\n", "READ", tmp_path) == []


@pytest.mark.parametrize(
    "uses",
    [
        "import importlib.resources\nREAD = importlib.resources.files('workloads').joinpath('x').read_text()",
        "from importlib.resources import files\nREAD = files(__package__).joinpath('../../x').read_text()",
        "from importlib.resources import files\nREAD = (files(__package__) / '/etc/hosts').open()",
        "from importlib.resources import files\nREAD = list(files(__package__).parent.iterdir())",
        "import pkgutil\nREAD = pkgutil.get_data('workloads', 'weights')",
        "import pkgutil\nREAD = pkgutil.get_data(__name__, '../weights')",
        "import pkgutil\nREAD = pkgutil.get_data",
    ],
)
def test_resources_of_other_packages_and_other_folders_are_found(uses, tmp_path):
    assert {name for name, _, _ in found_in(f"{uses}\n", "READ", tmp_path)} == {"reads-files"}


def test_a_resource_of_the_own_package_is_not_written(tmp_path):
    uses = "from importlib.resources import files\nREAD = files(__package__).joinpath('weights').open('w')\n"
    assert [name for name, _, _ in found_in(uses, "READ", tmp_path)] == ["writes-files"]


def test_a_class_may_open_a_path_beside_the_source_where_it_starts(tmp_path):
    reader = "class Reader:\n    def __init__(self, path):\n        self.text = open(path).read()\n"
    head = BESIDE.replace("import load", "import Reader")
    assert found_in(head, "Reader(WEIGHTS).text", tmp_path, reader) == []
    assert found_in(head, "Reader('/etc/hosts').text", tmp_path / "other", reader) == [("reads-files", "reading.py", 3)]


def test_files_may_pass_on_a_path_in_a_circle(tmp_path):
    modules = {
        "hub": "from .paths import CONFIG\nfrom .tables import load\n",
        "tables": "from .hub import CONFIG\ndef load():\n    return CONFIG.with_name('t').read_text()\n",
    }
    assert (
        found_in("from .hub import CONFIG, load\n", "load(), CONFIG.read_text()", tmp_path, **MODULES, **modules) == []
    )


def test_a_method_may_open_a_path_beside_the_source_that_it_is_given(tmp_path):
    reader = "class Reader:\n    def load(self, path):\n        return open(path).read()\n"
    head = BESIDE.replace("import load", "import Reader")
    assert found_in(head, "Reader().load(WEIGHTS)", tmp_path, reader) == []
    assert found_in(head, "Reader().load('/etc/hosts')", tmp_path / "other", reader) == [
        ("reads-files", "reading.py", 3)
    ]


def found_in(head, calls, tmp_path, reader=READER, **modules):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "reading.py").write_text(reader)
    for name, text in modules.items():
        (entry / f"{name}.py").write_text(text)
    (entry / "weights").write_bytes(b"1")
    source = (entry / "submission.py").read_text()
    assert source.count("import math\n") == 1
    (entry / "submission.py").write_text(
        source.replace("import math\n", f"import math\n{head}") + f"\n\nREAD = {calls}\n"
    )
    return [(f.rule, f.path.name, f.line) for f in check(str(entry), run=False).findings]


@pytest.mark.parametrize(("seed", "found"), [("int(rng[0])", []), ("0", ["randomness", "randomness"])])
def test_a_global_generator_may_be_seeded_from_rng_in_another_file(seed, found, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "seeding.py").write_text(f"import random\n\n\ndef seed_from(rng):\n    random.seed({seed})\n")
    text = (entry / "submission.py").read_text()
    text = text.replace("import math\n", "import math\nimport random\n\nfrom .seeding import seed_from\n", 1)
    text = text.replace(
        "    return next(input_queue)", "    seed_from(rng)\n    random.random()\n    return next(input_queue)"
    )
    (entry / "submission.py").write_text(text)
    assert [finding.rule for finding in check(str(entry), run=False).findings] == found


@pytest.mark.parametrize("extra", ["import math", "import time\n\ntime.sleep(1)", "import pandas"])
def test_a_file_that_is_imported_by_its_literal_name_is_read_as_any_other(extra, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "extra.py").write_text(f"{extra}\n")
    text = (entry / "submission.py").read_text()
    imports = "import importlib\nimport math\n\nEXTRA = importlib.import_module('.extra', __package__)\n"
    (entry / "submission.py").write_text(text.replace("import math\n", imports, 1))
    found = {"import math": [], "import pandas": [("dependency", 1)]}.get(extra, [("sleeps", 3)])
    findings = check(str(entry), run=False).findings
    assert [(finding.rule, finding.line) for finding in findings if finding.path.name == "extra.py"] == found
    assert all(finding.path.name == "extra.py" for finding in findings)


@pytest.mark.parametrize(
    "top", ["from .sched import make", "from sched import scheduler as make\n\nfrom . import sched"]
)
def test_a_file_may_have_the_name_of_one_of_pythons_modules(top, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "sched.py").write_text("def make():\n    return 1\n")
    text = (entry / "submission.py").read_text()
    (entry / "submission.py").write_text(text.replace("import math\n", f"import math\n{top}\n\nMADE = make\n", 1))
    assert "hidden-file" not in {finding.rule for finding in check(str(entry), run=False).findings}
