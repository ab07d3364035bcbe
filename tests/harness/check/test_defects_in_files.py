"""Planted defects that are seen in the files: each must be found by its rule on its line."""

import json
from pathlib import Path

import pytest

from harness.check import RULES, check
from harness.entry import entries_folder, entry_names

UPDATE = "def update_params("
SPACE = "tuning_search_space.json"


def defect(name, rule, at, edits=None, **more):
    """A row for the fixture ``planted``."""
    return pytest.param(dict(rule=rule, at=at, edits=edits or {}, **more), id=name)


IN_THE_SOURCE = [
    defect("a required function is missing", "missing-function", '"""A', {"def data_selection": "def select_data"}),
    defect(
        "get_batch_size takes no argument",
        "arguments",
        "def get_batch_size",
        {"get_batch_size(workload_name)": "get_batch_size()"},
    ),
    defect(
        "update_params lacks arguments",
        "arguments",
        UPDATE,
        {"    batch,\n    loss_type,\n    optimizer_state": "    batch,\n    optimizer_state"},
    ),
    defect("not Python", "source", "def get_batch size", {"def get_batch_size": "def get_batch size"}),
    defect(
        "branches on the workload's name",
        "workload-name",
        "workload.name ==",
        {"end": ["if workload.name == 'mnist':", "    optimizer.step()"]},
    ),
    defect(
        "branches on a name that it got elsewhere",
        "workload-name",
        "if 'criteo1tb' in",
        {"end": ["if 'criteo1tb' in repr(optimizer_state):", "    optimizer.step()"]},
    ),
    defect(
        "asks for the workload's class",
        "workload-name",
        "type(workload)",
        {"end": ["rate = {'Mnist': 1.0}.get(type(workload).__name__)"]},
    ),
    defect(
        "keeps the name that get_batch_size is given",
        "workload-name",
        "global NAME",
        {
            "    raise ValueError(": "    global NAME\n    NAME = workload_name\n    raise ValueError(",
        },
    ),
    defect(
        "branches on the number of parameters",
        "model-shape",
        "if count == 101770",
        {
            "end": [
                "count = sum(p.numel() for p in current_param_container.parameters())",
                "if count == 101770:",
                "    optimizer.step()",
            ]
        },
    ),
    defect(
        "decides by the metric's name",
        "metric-name",
        "workload.target_metric_name ==",
        {"end": ["if workload.target_metric_name == 'wer':", "    optimizer.step()"]},
    ),
    defect(
        "keeps what a callback is told",
        "callbacks",
        "jax.debug.callback(SEEN.append",
        {
            "    state, train_step = optimizer": "    jax.debug.callback(SEEN.append, global_step)\n"
            "    state, train_step = optimizer",
            "DEFAULTS = {": "SEEN = []\nDEFAULTS = {",
        },
        framework="jax",
    ),
    defect(
        "branches on a shape",
        "model-shape",
        "if p.shape == (784, 128)",
        {
            "end": [
                "for p in current_param_container.parameters():",
                "    if p.shape == (784, 128):",
                "        p.grad = None",
            ]
        },
    ),
    defect(
        "branches on the step hint of a workload",
        "model-shape",
        "workload.step_hint ==",
        {"end": ["if workload.step_hint == 6000:", "    optimizer.step()"]},
    ),
    defect(
        "waits to be awaited",
        "arguments",
        "async def update_params",
        {"\ndef update_params(": "\nasync def update_params("},
    ),
    defect("reads a file", "reads-files", "open('/etc/hostname')", {"end": ["open('/etc/hostname').close()"]}),
    defect(
        "reads a file with pathlib",
        "reads-files",
        ".read_text()",
        {"top": "import pathlib", "end": ["pathlib.Path('/etc/hostname').read_text()"]},
    ),
    defect("writes results", "writes-files", "torch.save(", {"end": ["torch.save(logits, 'logits.pt')"]}),
    defect("writes with open", "writes-files", "open('log.txt', 'a')", {"end": ["open('log.txt', 'a').close()"]}),
    defect(
        "reads the environment",
        "environment",
        "os.environ.get",
        {"top": "import os", "end": ["rate = os.environ.get('RATE', '1')"]},
    ),
    defect("uses the network", "network", "import urllib.request", {"top": "import urllib.request"}),
    defect("sleeps", "sleeps", "pause(0.0)", {"top": "from time import sleep as pause", "end": ["pause(0.0)"]}),
    defect(
        "sleeps in disguise",
        "sleeps",
        "getattr(clock, 'sleep')",
        {"top": "import time as clock", "end": ["getattr(clock, 'sleep')(0.0)"]},
    ),
    defect(
        "starts a thread",
        "threads",
        "threading.Thread",
        {"top": "import threading", "end": ["threading.Thread(target=math.sqrt, args=(2,)).start()"]},
    ),
    defect(
        "starts a process",
        "threads",
        "subprocess.run",
        {"top": "import subprocess", "end": ["subprocess.run(['true'])"]},
    ),
    defect("reads a clock", "clock", "perf_counter()", {"top": "import time", "end": ["now = time.perf_counter()"]}),
    defect(
        "has a file that Python hides",
        "hidden-file",
        "make(10)",
        {"top": "from sched import make", "end": ["make(10)"]},
        files={"sched.py": "def make(total):\n    return total\n"},
    ),
    defect(
        "names a file of its own as Python's module that it sleeps with",
        "sleeps",
        "time.sleep",
        {"top": "import time\nfrom .time import rate", "end": ["time.sleep(rate)"]},
        files={"time.py": "rate = 0.1\n"},
    ),
    defect(
        "gets at the workload behind the view",
        "introspection",
        "model_fn.__self__",
        {"end": ["workload.model_fn.__self__"]},
    ),
    defect(
        "takes a module of other code",
        "hidden-code",
        "sys.modules['torch']",
        {"top": "import sys", "end": ["sys.modules['torch']", "own = sys.modules[__name__]"]},
    ),
    defect(
        "reads a hyperparameter that its space lacks",
        "missing-hyperparameter",
        "hyperparameters.final_rate",
        {"end": ["rate = hyperparameters.final_rate if global_step > 200 else 0.1"]},
    ),
    defect("runs code from text", "hidden-code", "exec(", {"end": ["exec('x = 1')"]}),
    defect("peeks at the test split", "peeks", "load_split('test')", {"end": ["test = workload.load_split('test')"]}),
    defect(
        "reads test results",
        "peeks",
        "'test/accuracy'",
        {"end": ["seen = [row['test/accuracy'] for _, row in eval_results]"]},
    ),
    defect(
        "imports a workload",
        "peeks",
        "Mnist.settings",
        {"top": "from workloads.mnist.workload import Mnist", "end": ["hint = Mnist.settings"]},
    ),
    defect(
        "draws unseeded numbers",
        "randomness",
        "numpy.random.rand(",
        {"top": "import numpy", "end": ["noise = numpy.random.rand(3)"]},
    ),
    defect(
        "seeds with a constant",
        "randomness",
        "torch.manual_seed(SEED)",
        {"DEFAULTS = {": "SEED = 7\nDEFAULTS = {", "end": ["torch.manual_seed(SEED)"]},
    ),
    defect(
        "draws fixed numbers",
        "fixed-numbers",
        "numpy.random.RandomState(",
        {"top": "import numpy", "end": ["start = numpy.random.RandomState(1729).uniform(-1.0, 1.0, 3)"]},
    ),
    defect(
        "makes a constant key",
        "randomness",
        "jax.random.PRNGKey(0)",
        {
            "    state, train_step = optimizer": "    rng = jax.random.PRNGKey(0)\n    state, train_step = optimizer",
        },
        framework="jax",
    ),
    defect(
        "patches the clock",
        "patches",
        "time.perf_counter = ",
        {"import math\n": "import math\nimport time\n\ntime.perf_counter = lambda: 0.0\n"},
    ),
    defect(
        "patches the harness",
        "patches",
        "spec.Workload.step_hint = ",
        {"from harness import spec\n": "from harness import spec\nspec.Workload.step_hint = 10\n"},
    ),
    defect("sets an attribute of the workload", "patches", "workload.loss_fn = ", {"end": ["workload.loss_fn = None"]}),
    defect(
        "changes torch's threads",
        "global-settings",
        "torch.set_num_threads(2)",
        {"from harness import spec\n": "from harness import spec\ntorch.set_num_threads(2)\n"},
    ),
    defect(
        "changes the default dtype",
        "global-settings",
        "torch.set_default_dtype",
        {"from harness import spec\n": "from harness import spec\ntorch.set_default_dtype(torch.float64)\n"},
    ),
    defect(
        "swallows exceptions",
        "swallows",
        "except Exception",
        {"    loss.backward()\n": "    try:\n        loss.backward()\n    except Exception:\n        pass\n"},
    ),
    defect(
        "imports what nothing declares",
        "dependency",
        "import pandas",
        {"top": "import pandas", "end": ["frame = pandas.DataFrame()"]},
    ),
    defect(
        "has an invalid search space",
        "search-space",
        '"learning_rate"',
        files={SPACE: '{\n  "learning_rate": {"min": 1, "max": 0.1}\n}'},
        where=SPACE,
    ),
    defect(
        "has values for one workload in its search space",
        "search-space-per-workload",
        '"mnist"',
        files={SPACE: '{\n "mnist": {"learning_rate": {"min": 0.1, "max": 1}}\n}'},
        where=SPACE,
    ),
    defect(
        "has a search space for one workload",
        "search-space-per-workload",
        "[",
        files={"tuning_search_space_mnist.json": '[{"learning_rate": 0.1}]'},
        where="tuning_search_space_mnist.json",
    ),
    defect("brings trained parameters along", "carried-data", "AA", where="weights", files={"weights": "A" * 70_000}),
    defect("brings machine code along", "machine-code", "ELF", where="weights", files={"weights": "\x7fELF\x02"}),
]


@pytest.mark.parametrize("defect", IN_THE_SOURCE)
def test_a_defect_in_the_files_is_found_by_its_rule_on_its_line(defect, planted):
    entry, wanted = planted(**defect)
    report = check(str(entry), run=False)
    found = {(finding.rule, finding.path.name, finding.line) for finding in report.findings}
    assert wanted in found, report.findings
    assert {rule for rule, _, _ in found} == {defect["rule"]}
    assert bool(report.errors) == (RULES[defect["rule"]].severity == "error")


def test_there_are_defects_for_every_rule_on_files():
    tried_elsewhere = {"speed-settings", "composition", "entry"}
    planted = {row.values[0]["rule"] for row in IN_THE_SOURCE}
    assert {name for name, rule in RULES.items() if rule.kind != "run"} == planted | tried_elsewhere


@pytest.mark.parametrize("name", entry_names())
def test_no_ready_entry_has_a_finding_in_its_files(name):
    assert check(name, run=False).findings == ()


def test_findings_are_json(planted):
    entry, _ = planted(**IN_THE_SOURCE[0].values[0])
    told = json.loads(json.dumps(check(str(entry), run=False).to_json()))
    assert not told["clean"] and told["findings"][0]["rule"] == "missing-function"
    assert str(entries_folder()) not in told["path"]


def test_the_documentation_names_every_rule():
    text = (Path(__file__).parents[3] / "docs" / "checking.md").read_text()
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []
