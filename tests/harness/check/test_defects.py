"""Planted defects: each is a small edit of a clean template, and must be found by its rule on its line."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.check import RULES, check
from harness.entry import entries_folder, entry_names
from harness.scaffold import new_entry

RETURN = "    return optimizer_state, current_param_container, model_state\n"
STEP = "    optimizer.step()\n" + RETURN
QUEUE = "    return next(input_queue)\n"
UPDATE = "def update_params("
SPACE = "tuning_search_space.json"


@dataclasses.dataclass(frozen=True)
class Defect:
    """``edits`` of the template's source, or ``files`` beside it. It must be found on the first line that contains
    ``at`` (of the source, or of the file ``where``)."""

    name: str
    rule: str
    at: str
    edits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    where: str = "submission.py"
    framework: str = "torch"
    loss: str = "softmax"

    def __str__(self) -> str:
        return self.name


def before_return(*lines: str) -> dict[str, str]:
    """An edit that puts lines at the end of the template's update_params."""
    return {STEP: "    optimizer.step()\n" + "".join(f"    {line}\n" for line in lines) + RETURN}


def with_import(module: str, *lines: str) -> dict[str, str]:
    return {"import math\n": f"import math\n{module}\n", **before_return(*lines)}


IN_THE_SOURCE = [
    Defect("a required function is missing", "missing-function", '"""A', {"def data_selection": "def select_data"}),
    Defect(
        "get_batch_size takes no argument",
        "arguments",
        "def get_batch_size",
        {"get_batch_size(workload_name)": "get_batch_size()"},
    ),
    Defect(
        "update_params lacks arguments",
        "arguments",
        UPDATE,
        {"    batch,\n    loss_type,\n    optimizer_state": "    batch,\n    optimizer_state"},
    ),
    Defect("not Python", "source", "def get_batch size", {"def get_batch_size": "def get_batch size"}),
    Defect(
        "branches on the workload's name",
        "workload-name",
        "workload.name ==",
        before_return("if workload.name == 'mnist':", "    optimizer.step()"),
    ),
    Defect(
        "branches on a name that it got elsewhere",
        "workload-name",
        "if 'criteo1tb' in",
        before_return("if 'criteo1tb' in repr(current_param_container):", "    optimizer.step()"),
    ),
    Defect(
        "asks for the workload's class",
        "workload-name",
        "type(workload)",
        before_return("rate = {'Mnist': 1.0}.get(type(workload).__name__)"),
    ),
    Defect(
        "keeps the name that get_batch_size is given",
        "workload-name",
        "global NAME",
        {
            "    raise ValueError(": "    global NAME\n    NAME = workload_name\n    raise ValueError(",
        },
    ),
    Defect(
        "branches on the number of parameters",
        "model-shape",
        "if count == 101770",
        before_return(
            "count = sum(p.numel() for p in current_param_container.parameters())",
            "if count == 101770:",
            "    optimizer.step()",
        ),
    ),
    Defect(
        "branches on a shape",
        "model-shape",
        "if p.shape == (784, 128)",
        before_return(
            "for p in current_param_container.parameters():", "    if p.shape == (784, 128):", "        p.grad = None"
        ),
    ),
    Defect(
        "branches on the step hint of a workload",
        "model-shape",
        "workload.step_hint ==",
        before_return("if workload.step_hint == 6000:", "    optimizer.step()"),
    ),
    Defect(
        "waits to be awaited",
        "arguments",
        "async def update_params",
        {"\ndef update_params(": "\nasync def update_params("},
    ),
    Defect("reads a file", "reads-files", "open('/etc/hostname')", before_return("open('/etc/hostname').close()")),
    Defect(
        "reads a file with pathlib",
        "reads-files",
        ".read_text()",
        with_import("import pathlib", "pathlib.Path('/etc/hostname').read_text()"),
    ),
    Defect("writes results", "writes-files", "torch.save(", before_return("torch.save(logits, 'logits.pt')")),
    Defect("writes with open", "writes-files", "open('log.txt', 'a')", before_return("open('log.txt', 'a').close()")),
    Defect(
        "reads the environment",
        "environment",
        "os.environ.get",
        with_import("import os", "rate = os.environ.get('RATE', '1')"),
    ),
    Defect("uses the network", "network", "import urllib.request", with_import("import urllib.request")),
    Defect("sleeps", "sleeps", "pause(0.0)", with_import("from time import sleep as pause", "pause(0.0)")),
    Defect(
        "sleeps in disguise",
        "sleeps",
        "getattr(clock, 'sleep')",
        with_import("import time as clock", "getattr(clock, 'sleep')(0.0)"),
    ),
    Defect(
        "starts a thread",
        "threads",
        "threading.Thread",
        with_import("import threading", "threading.Thread(target=math.sqrt, args=(2,)).start()"),
    ),
    Defect(
        "starts a process", "threads", "subprocess.run", with_import("import subprocess", "subprocess.run(['true'])")
    ),
    Defect("reads a clock", "clock", "perf_counter()", with_import("import time", "now = time.perf_counter()")),
    Defect(
        "gets at the workload behind the view",
        "introspection",
        "model_fn.__self__",
        before_return("workload.model_fn.__self__"),
    ),
    Defect(
        "takes a module of other code",
        "hidden-code",
        "sys.modules['torch']",
        with_import("import sys", "sys.modules['torch']", "own = sys.modules[__name__]"),
    ),
    Defect("runs code from text", "hidden-code", "exec(", before_return("exec('x = 1')")),
    Defect(
        "peeks at the test split", "peeks", "load_split('test')", before_return("test = workload.load_split('test')")
    ),
    Defect(
        "reads test results",
        "peeks",
        "'test/accuracy'",
        before_return("seen = [row['test/accuracy'] for _, row in eval_results]"),
    ),
    Defect(
        "imports a workload",
        "peeks",
        "Mnist.settings",
        with_import("from workloads.mnist.workload import Mnist", "hint = Mnist.settings"),
    ),
    Defect(
        "draws unseeded numbers",
        "randomness",
        "numpy.random.rand(",
        with_import("import numpy", "noise = numpy.random.rand(3)"),
    ),
    Defect(
        "seeds with a constant",
        "randomness",
        "torch.manual_seed(SEED)",
        {"DEFAULTS = {": "SEED = 7\nDEFAULTS = {", **before_return("torch.manual_seed(SEED)")},
    ),
    Defect(
        "draws fixed numbers",
        "fixed-numbers",
        "numpy.random.RandomState(",
        with_import("import numpy", "start = numpy.random.RandomState(1729).uniform(-1.0, 1.0, 3)"),
    ),
    Defect(
        "makes a constant key",
        "randomness",
        "jax.random.PRNGKey(0)",
        {
            "    state, train_step = optimizer": "    rng = jax.random.PRNGKey(0)\n    state, train_step = optimizer",
        },
        framework="jax",
    ),
    Defect(
        "patches the clock",
        "patches",
        "time.perf_counter = ",
        {"import math\n": "import math\nimport time\n\ntime.perf_counter = lambda: 0.0\n"},
    ),
    Defect(
        "patches the harness",
        "patches",
        "spec.Workload.step_hint = ",
        {"from harness import spec\n": "from harness import spec\nspec.Workload.step_hint = 10\n"},
    ),
    Defect(
        "sets an attribute of the workload", "patches", "workload.loss_fn = ", before_return("workload.loss_fn = None")
    ),
    Defect(
        "changes torch's threads",
        "global-settings",
        "torch.set_num_threads(2)",
        {"from harness import spec\n": "from harness import spec\ntorch.set_num_threads(2)\n"},
    ),
    Defect(
        "changes the default dtype",
        "global-settings",
        "torch.set_default_dtype",
        {"from harness import spec\n": "from harness import spec\ntorch.set_default_dtype(torch.float64)\n"},
    ),
    Defect(
        "swallows exceptions",
        "swallows",
        "except Exception",
        {"    loss.backward()\n": "    try:\n        loss.backward()\n    except Exception:\n        pass\n"},
    ),
    Defect(
        "imports what nothing declares",
        "dependency",
        "import pandas",
        with_import("import pandas", "frame = pandas.DataFrame()"),
    ),
    Defect(
        "has an invalid search space",
        "search-space",
        '"learning_rate"',
        files={SPACE: '{\n  "learning_rate": {"min": 1, "max": 0.1}\n}'},
        where=SPACE,
    ),
    Defect(
        "has values for one workload in its search space",
        "search-space-per-workload",
        '"mnist"',
        files={SPACE: '{\n "mnist": {"learning_rate": {"min": 0.1, "max": 1}}\n}'},
        where=SPACE,
    ),
    Defect(
        "has a search space for one workload",
        "search-space-per-workload",
        "[",
        files={"tuning_search_space_mnist.json": '[{"learning_rate": 0.1}]'},
        where="tuning_search_space_mnist.json",
    ),
]

WHEN_IT_RUNS = [
    Defect(
        "returns two values",
        "returns",
        UPDATE,
        {STEP: "    optimizer.step()\n    return optimizer_state, current_param_container\n"},
    ),
    Defect(
        "raises on one loss type",
        "crashes",
        "raise RuntimeError('no')",
        before_return("if loss_type is spec.LossType.SIGMOID_CROSS_ENTROPY:", "    raise RuntimeError('no')"),
        loss="sigmoid",
    ),
    Defect(
        "diverges on one loss type",
        "diverges",
        UPDATE,
        before_return(
            "if loss_type is spec.LossType.MEAN_ABSOLUTE_ERROR:",
            "    with torch.no_grad():",
            "        next(current_param_container.parameters()).mul_(float('nan'))",
        ),
        loss="absolute",
    ),
    Defect(
        "differs from run to run",
        "not-reproducible",
        UPDATE,
        before_return(
            "with torch.no_grad():",
            "    next(current_param_container.parameters()).add_(1e-3 * (torch.Generator().seed() % 97))",
        ),
    ),
    Defect(
        "uses one seed for all",
        "ignores-seed",
        UPDATE,
        {"    optimizer.zero_grad()\n": "    torch.manual_seed(int(global_step))\n    optimizer.zero_grad()\n"},
    ),
    Defect(
        "keeps momentum in a global",
        "checkpoint",
        "def init_optimizer_state",
        {
            "DEFAULTS = {": "MEMORY = {}\nDEFAULTS = {",
            **before_return(
                "with torch.no_grad():",
                "    p = next(current_param_container.parameters())",
                "    MEMORY['p'] = 0.5 * MEMORY.get('p', 0) + p",
                "    p.mul_(0.9).add_(MEMORY['p'], alpha=0.1)",
            ),
        },
    ),
    Defect(
        "keeps what cannot be saved",
        "checkpoint",
        "def init_optimizer_state",
        {
            "settings_of(hyperparameters))}": 'settings_of(hyperparameters)), "steps": iter(x for x in range(9))}',
        },
    ),
    Defect(
        "changes the workload behind its back",
        "changes-workload",
        UPDATE,
        before_return("vars_of = workload.__class__.__mro__ and workload.__dict__", "vars_of['variant'] = 'mine'"),
    ),
    Defect(
        "has an optimizer whose state cannot be loaded",
        "checkpoint",
        "def init_optimizer_state",
        {
            "    @torch.no_grad()\n    def step(self):": "    def state_dict(self):\n        return {'groups': 1}\n\n"
            "    @torch.no_grad()\n    def step(self):",
        },
    ),
    Defect("changes the batch in place", "changes-batch", UPDATE, before_return("batch['targets'].zero_()")),
    Defect(
        "changes the batch where it draws it",
        "changes-batch",
        "def data_selection",
        {QUEUE: "    batch = next(input_queue)\n    batch['targets'].zero_()\n    return batch\n"},
    ),
    Defect(
        "forgets the results in disguise",
        "changes-workload",
        UPDATE,
        before_return("for method in (eval_results.clear,): method()"),
    ),
    Defect(
        "changes the model's structure",
        "changes-model",
        UPDATE,
        before_return("current_param_container.register_parameter('extra', torch.nn.Parameter(torch.zeros(2)))"),
    ),
    Defect(
        "changes the threads at run time",
        "global-settings",
        UPDATE,
        before_return("setter = vars(torch)['set_num_' + 'threads']", "setter(2)"),
    ),
    Defect(
        "patches at run time",
        "patches",
        UPDATE,
        {
            "import math\n": "import math\nimport time as t\n",
            **before_return("vars_of = t.__dict__", "vars_of.update(monotonic_ns=lambda: 0)"),
        },
    ),
    Defect("writes in disguise", "writes-files", UPDATE, before_return("logits.detach().numpy().dump('shared')")),
    Defect(
        "kills its process",
        "crashes",
        UPDATE,
        {"import math\n": "import math\nimport os\n", **before_return("os._exit(7)")},
    ),
    Defect("crashes at import", "crashes", "1 / 0", {"DEFAULTS = {": "1 / 0\nDEFAULTS = {"}),
    Defect("hangs", "hangs", "sigwait", with_import("import signal", "signal.sigwait([signal.SIGUSR2])")),
    Defect(
        "hoards memory",
        "memory",
        "while True",
        before_return("hoard = []", "while True: hoard.append(torch.ones(10_000_000))"),
    ),
    Defect("does not train", "does-not-train", UPDATE, {STEP: RETURN}),
]


def plant(defect: Defect, folder: Path) -> Path:
    entry = new_entry("mine", defect.framework, folder)
    source = (entry / "submission.py").read_text()
    for old, new in defect.edits.items():
        assert source.count(old) == 1, f"{old!r} must stand in the template once"
        source = source.replace(old, new)
    (entry / "submission.py").write_text(source)
    for name, text in defect.files.items():
        (entry / name).write_text(text)
    return entry


def wanted_line(defect: Defect, entry: Path) -> int:
    lines = (entry / defect.where).read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if defect.at in line)


@pytest.mark.parametrize("defect", IN_THE_SOURCE, ids=str)
def test_a_defect_in_the_files_is_found_by_its_rule_on_its_line(defect, tmp_path):
    entry = plant(defect, tmp_path)
    report = check(str(entry), run=False)
    found = {(finding.rule, finding.path.name, finding.line) for finding in report.findings}
    assert (defect.rule, defect.where, wanted_line(defect, entry)) in found, report.findings
    assert {rule for rule, _, _ in found} == {defect.rule}
    assert bool(report.errors) == (RULES[defect.rule].severity == "error")


@pytest.mark.parametrize("defect", WHEN_IT_RUNS, ids=str)
def test_a_defect_that_shows_when_it_runs_is_found_by_its_rule_on_its_line(defect, tmp_path):
    from harness.check import Limits

    limits = Limits(silent_sec=20.0 if defect.rule == "hangs" else 300.0, memory_bytes=3 * 2**29)
    entry = plant(defect, tmp_path)
    report = check(str(entry), losses=[defect.loss], limits=limits)
    found = [finding for finding in report.findings if finding.rule == defect.rule]
    assert wanted_line(defect, entry) in [finding.line for finding in found], report.findings
    assert all(finding.mend and finding.message for finding in report.findings)
    assert report.ran == ("torch",)


def test_there_are_defects_for_every_rule():
    planted = {defect.rule for defect in (*IN_THE_SOURCE, *WHEN_IT_RUNS)}
    tried_elsewhere = {"speed-settings", "composition", "entry", "changes-data"}
    assert set(RULES) == planted | tried_elsewhere


@pytest.mark.parametrize("name", entry_names())
def test_no_ready_entry_has_a_finding_in_its_files(name):
    assert check(name, run=False).findings == ()


def test_a_clean_entry_of_each_framework_passes_on_every_type_of_loss(tmp_path):
    for reference, losses in (
        ("template_torch", ("softmax", "sigmoid", "absolute", "squared", "ctc")),
        ("nadamw_cosine", ("ctc",)),
    ):
        report = check(reference, losses=losses)
        assert report.findings == (), report.findings
    assert report.ran == ("torch", "jax")


def test_findings_are_json(tmp_path):
    entry = plant(IN_THE_SOURCE[0], tmp_path)
    told = json.loads(json.dumps(check(str(entry), run=False).to_json()))
    assert not told["clean"] and told["findings"][0]["rule"] == "missing-function"
    assert str(entries_folder()) not in told["path"]


def test_the_documentation_names_every_rule():
    text = (Path(__file__).parents[3] / "docs" / "checking.md").read_text()
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []
