"""Every cheat in ``entries/`` is disqualified, with evidence; honest entries of many kinds are not.

A cheat is a file there, built on an honest entry beside it. Its constant ``CAUGHT`` says what the record must tell
(a regular expression); ``TARGET`` sets another accuracy than the usual one. ``DATA`` and ``OUT`` in a source stand for
the data directory and the results folder.
"""

import ast
import contextlib
import os
import py_compile
import re
import shutil
import signal
from pathlib import Path

import pytest
from rich.console import Console

from harness.run import run
from harness.running import NOT_SAVED
from harness.sandbox import landlock_version
from harness.spec import Target
from harness.suite import Request
from results.record import CPU, StopReason
from results.store import find_trials, read_evaluations, read_trial

ENTRIES = Path(__file__).with_name("entries")
POINTLESS = (
    *("answers_from_the_labels", "hook_that_trains", "model_that_knows"),
    *("metric_replaced_on_import", "claim_that_cannot_be_kept"),
)
"""What they change in the trial's process has no part in its evaluation: nothing is gained, and there is no breach."""
CHARGED = (
    *("collected_in_the_log", "trains_when_its_names_are_asked", "tree_that_trains", "signature_that_trains"),
    *("collected_after_the_look", "look_that_trains", "key_that_works"),
)
"""What runs where the clock stood is on the clock."""
UNHEARD_OF = (
    *("message_changed", "path_that_looks", "function_given_other_code", "function_underneath"),
    *("pickled_for_the_judge", "numbers_of_its_own_kind", "answers_of_the_judge"),
    "class_that_is_asked",
)
"""Nobody calls what they put in the place of something else, or it does what it did."""
OPEN_DATA = ("data_file_read", "root_of_the_process")
CHEATS = sorted(
    {path.stem for path in ENTRIES.glob("*.py") if not path.stem.startswith("honest")}
    - {*POINTLESS, *CHARGED, *UNHEARD_OF, "root_of_the_process"}
)
PREVENTED = {
    *("shared_memory", "more_cores", "behind_a_method", "loaded_modules", "generator_unwrapped"),
    *("behind_the_view", "watch_silenced", "size_of_the_log", "size_that_runs", "order_of_the_data"),
    *("open_files_of_the_data", "weak_reference", "attribute_of_the_folder", "settings_in_the_folder"),
    *("memory_of_the_copy", "mode_of_the_folder"),
}
"""What the kernel refuses, or what there is not, makes the cheat fail; there is nothing to disqualify it for."""


UNPREVENTED = (pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock to prevent it"),)


def constants(path):
    assigned = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    return {n.targets[0].id: n.value.value for n in assigned if isinstance(n.value, ast.Constant)}


def go(out, entry, studies=1, target=0.75, workload="mnist", max_steps=None, budget_sec=60.0, **options):
    with pytest.MonkeyPatch.context() as patch, Path(os.devnull).open("w") as sink:
        patch.setattr("harness.spec.Workload._declared_target", lambda self: Target(target, 0.7))
        request = Request(
            (workload,),
            ((str(entry), None),),
            ruleset="self_tuning",
            studies=studies,
            trials=1,
            budget_sec=budget_sec,
            max_steps=max_steps,
        )
        summary = run(request, out, console=Console(file=sink), **options)
    return summary, [(read_trial(folder), read_evaluations(folder)) for folder in find_trials(out)]


def put(name, folder, out, data_dir):
    """The entry's file with what it is built on, in a folder of its own."""
    folder.mkdir()
    for path in ENTRIES.glob("honest*.py"):
        shutil.copy(path, folder)
    source = (ENTRIES / f"{name}.py").read_text()
    (folder / f"{name}.py").write_text(source.replace('"DATA"', repr(str(data_dir))).replace('"OUT/', f'"{out}/'))
    return folder / f"{name}.py"


@pytest.mark.parametrize("name", [pytest.param(name, marks=UNPREVENTED * (name in PREVENTED)) for name in CHEATS])
def test_the_cheat_is_caught(name, tmp_path, data_dir):
    told = constants(ENTRIES / f"{name}.py")
    entry = put(name, tmp_path / "entry", tmp_path / "out", data_dir)
    summary, [(record, _)] = go(tmp_path / "out", entry, target=told.get("TARGET", 0.75))
    expected = StopReason.CRASHED if name in PREVENTED else StopReason.DISQUALIFIED
    assert (record.stop_reason, summary.failed) == (expected, 1), record.stop_detail
    assert record.crossing is None
    assert re.search(told["CAUGHT"], record.stop_detail), record.stop_detail
    if expected is StopReason.DISQUALIFIED:
        assert record.breaches and all(text in record.stop_detail for text in record.breaches)


@pytest.mark.parametrize("name", POINTLESS)
def test_what_hangs_on_the_model_gains_nothing(name, tmp_path, data_dir):
    entry = put(name, tmp_path / "entry", tmp_path / "out", data_dir)
    _, [(record, rows)] = go(tmp_path / "out", entry, max_steps=500)
    assert record.stop_reason is StopReason.STEP_LIMIT and record.crossing is None
    assert len({row["validation/accuracy"] for row in rows}) == 1, "none of them trains on the clock"


@pytest.mark.parametrize("name", CHARGED)
def test_what_works_off_the_clock_is_charged(name, tmp_path, data_dir):
    """Looking after an entry takes a tenth, and making its model something, so that it is not nothing."""
    entry = put(name, tmp_path / "entry", tmp_path / "out", data_dir)
    _, [(record, _)] = go(tmp_path / "out", entry, target=0.99, max_steps=300)
    assert (record.stop_reason, record.breaches) == (StopReason.STEP_LIMIT, ())
    seen, timed = record.watched["cpu_sec"], record.watched["timed_cpu_sec"]
    assert seen - timed < 0.2 * timed + 1.0


@pytest.mark.parametrize("name", UNHEARD_OF)
def test_what_nobody_calls_changes_nothing(name, tmp_path, data_dir):
    entry = put(name, tmp_path / "entry", tmp_path / "out", data_dir)
    _, [(record, rows)] = go(tmp_path / "out", entry)
    assert (record.stop_reason, record.breaches) == (StopReason.TARGET_REACHED, ()), record.stop_detail
    assert record.crossing.cpu == pytest.approx(rows[-1][CPU], rel=0.1)


@pytest.mark.parametrize("name", OPEN_DATA)
def test_data_that_stays_open_is_open_to_the_harness_alone(name, tmp_path, data_dir):
    """ogbg's molecules differ in size, so its arrays are not plain ones: the data directory is not closed."""
    entry = put(name, tmp_path / "entry", tmp_path / "out", data_dir)
    _, [(record, _)] = go(tmp_path / "out", entry, target=0.0, workload="ogbg")
    assert record.stop_reason is StopReason.DISQUALIFIED and "reads " in record.stop_detail


HIDDEN = """
from pathlib import Path

from honest_torch import *

NOTE = Path(__file__).with_name(".note").read_text()
"""


def test_a_file_that_is_not_in_the_digest_cannot_be_read(tmp_path, data_dir):
    entry = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).with_name("submission.py")
    entry.write_text(HIDDEN)
    entry.with_name(".note").write_text("what may change from trial to trial")
    _, [(record, _)] = go(tmp_path / "out", entry.parent)
    assert record.stop_reason is StopReason.DISQUALIFIED and f"reads {entry.with_name('.note')}" in record.stop_detail


class Forging:
    """An observer that writes a trial's checkpoint, as an entry could where no event tells of it, and kills it."""

    def __init__(self, inner):
        self.inner, self.killed = inner, []

    def update(self, running, waiting):
        for trial in running:
            if not self.killed and trial.step:
                self.killed.append(trial.process.pid)
                (trial.task.checkpoint.folder / "state").write_bytes(b"timetrial checkpoint 3\n".ljust(4096, b"x"))
                os.kill(trial.process.pid, signal.SIGKILL)
        return self.inner.update(running, waiting)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_a_checkpoint_that_the_harness_has_not_written_is_not_gone_on_from(tmp_path, data_dir):
    entry = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir)

    def forging(observer):
        return contextlib.nullcontext(Forging(observer))

    _, [(record, _)] = go(tmp_path / "out", entry, target=0.99, watched_by=forging)
    assert (record.stop_reason, record.breaches) == (StopReason.DISQUALIFIED, (NOT_SAVED,))


def test_there_are_enough_cheats():
    assert len(CHEATS) >= 20


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_what_cheats_are_built_on_is_honest(framework, tmp_path, data_dir):
    entry = put(f"honest_{framework}", tmp_path / "entry", tmp_path / "out", data_dir)
    _, [(record, rows)] = go(tmp_path / "out", entry)
    assert (record.stop_reason, record.breaches) == (StopReason.TARGET_REACHED, ())
    assert record.verified["value"] == pytest.approx(rows[-1]["validation/accuracy"], abs=1e-6)


BUSY = """
import collections
import dataclasses
import inspect
import json
import logging
import threading
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

import honest_torch as honest
from honest_torch import *

SETTINGS = json.loads(Path(__file__).with_name("settings.json").read_text())
Pair = collections.namedtuple("Pair", "left right")
LOCK = threading.Lock()

@dataclasses.dataclass
class Statistics:
    seen: int = 0

STATISTICS = Statistics()

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert "params" in inspect.signature(workload.model_fn).parameters
    assert workload.step_hint > 0 and workload.num_train_examples > 0 and workload.loss_type is not None
    model_params.register_forward_hook(lambda *_: setattr(STATISTICS, "seen", STATISTICS.seen + 1))
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=SETTINGS["rate"])}

def update_params(**arguments):
    if arguments["global_step"] % 100 == 0:
        logging.getLogger("mine").warning("step %d", arguments["global_step"])
        warnings.warn("a word", stacklevel=2)
        np.random.randn(3)
        Pair(1, 2)
        try:
            [].pop()
        except IndexError:
            logging.getLogger("mine").exception(traceback.format_exc())
    with LOCK:
        return honest.update_params(**arguments)
"""

COMPILED = """
import torch

import honest_torch as honest
from honest_torch import *

@torch.compile
def scaled(x):
    return torch.sin(x) * 2

def update_params(**arguments):
    scaled(torch.ones(3))
    return honest.update_params(**arguments)
"""


MEASURED = """
import cProfile
import logging
import os
import resource
import traceback
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans

import honest_torch as honest
from honest_torch import *

class Handler(logging.Handler):
    def emit(self, record):
        print(self.format(record))

logging.getLogger().addHandler(Handler())
logging.getLogger().setLevel(logging.DEBUG)

def update_params(**arguments):
    if arguments["global_step"] % 20:
        return honest.update_params(**arguments)
    os.kill(os.getpid(), 0)
    resource.prlimit(0, resource.RLIMIT_AS)
    if arguments["global_step"] == 20:
        KMeans(2, n_init=1).fit(np.eye(9))
        import matplotlib.pyplot  # whose C++ ends the process where a hook raises
    traceback.print_stack(limit=4)
    traceback.format_stack()
    logging.getLogger("mine").info("memory: %s", Path("/proc/meminfo").read_text(), stack_info=True)
    profile = cProfile.Profile()
    profile.enable()
    try:
        return honest.update_params(**arguments)
    finally:
        profile.disable()
"""


LIBRARIES = """
import os
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import psutil
import scipy.linalg
from sklearn.linear_model import LinearRegression

import honest_torch as honest
from honest_torch import *

def update_params(**arguments):
    if arguments["global_step"] == 3:
        assert os.cpu_count() >= psutil.cpu_count(logical=False) >= 1
        assert psutil.virtual_memory().total > psutil.Process().memory_info().rss > 0
        assert np.isfinite(np.linalg.svd(scipy.linalg.hilbert(99))[1]).all()
        assert jax.jit(lambda x: x @ x)(jax.numpy.eye(99)).sum() == 99
        assert len(pd.DataFrame({"a": [1, 1], "b": [2, 3]}).groupby("a").sum()) == 1
        LinearRegression().fit(np.eye(9), np.arange(9))
        plt.plot([1, 2])
        plt.gcf().canvas.draw()
        assert "processor" in Path("/proc/cpuinfo").read_text()
    return honest.update_params(**arguments)
"""


@pytest.mark.parametrize(
    "source", [BUSY, COMPILED, MEASURED, LIBRARIES], ids=["busy", "compiled", "measured", "libraries"]
)
def test_what_honest_entries_do_is_no_breach(source, tmp_path, data_dir):
    """Logging, hooks that only look, a file of its own, generated classes, compiled functions, warnings, tracebacks,
    profiles, the machine's memory, what libraries ask of the system."""
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(source)
    (folder / "settings.json").write_text('{"rate": 0.001}')
    (folder / "submission_info.yml").write_text("framework: pytorch\n")
    _, [(record, _)] = go(tmp_path / "out", folder, budget_sec=600.0)  # some machines compile for a minute
    assert (record.stop_reason, record.breaches) == (StopReason.TARGET_REACHED, ()), record.stop_detail


LOADS = """
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourcelessFileLoader
from pathlib import Path

import honest_torch as honest
import torch
from honest_torch import *

class Text(str):
    def __contains__(self, part):
        return False

    def __str__(self):
        return "/usr/lib/nothing"

def path(name, kind=str):
    return kind(str(Path(__file__).with_name(name)))

def extension(kind=str):
    loader = ExtensionFileLoader("fast", path("fast.so", kind))
    loader.create_module(ModuleSpec("fast", loader, origin=path("fast.so", kind)))

def init_optimizer_state(*arguments):
    try:
        HOW
    except (OSError, ImportError):
        pass
    return honest.init_optimizer_state(*arguments)
"""


@pytest.mark.parametrize(
    "how, told",
    [
        ('torch.ops.load_library(path("fast.so"))', "loads machine code: fast.so"),
        ("extension()", "loads machine code: fast.so"),
        ("extension(Text)", "loads machine code: fast.so"),
        ('SourcelessFileLoader("helper", path("code.bin", Text)).get_code("helper")', "runs byte code: code.bin"),
        ('SourcelessFileLoader("helper", path("helper.pyc")).load_module()', "runs byte code: helper.pyc"),
    ],
)
def test_machine_code_and_byte_code_in_an_entrys_folder_are_a_breach_whoever_loads_it(how, told, tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(LOADS.replace("HOW", how))
    (folder / "made.py").write_text("ANSWER = 1\n")
    py_compile.compile(str(folder / "made.py"), str(folder / "code.bin"))
    _, [(record, _)] = go(tmp_path / "out", folder)
    assert record.stop_reason is StopReason.DISQUALIFIED and told in record.stop_detail, record.stop_detail


def test_machine_code_that_an_entry_has_put_into_its_own_folder_is_a_breach(tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    how = 'Path("fast.so").write_bytes(b""), torch.ops.load_library("./fast.so")'
    (folder / "submission.py").write_text(LOADS.replace("HOW", how))
    _, [(record, _)] = go(tmp_path / "out", folder)
    assert record.stop_reason is StopReason.DISQUALIFIED and "loads machine code: fast.so" in record.stop_detail


def test_what_an_entry_does_where_its_batch_size_is_asked_for_is_told(tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(
        "import ctypes\nfrom honest_torch import *\n\ndef get_batch_size(name):\n"
        "    try:\n        ctypes.CDLL(None)\n    except OSError:\n        pass\n    return 32\n"
    )
    _, [(record, _)] = go(tmp_path / "out", folder)
    assert record.stop_reason is StopReason.DISQUALIFIED and "raw memory" in record.stop_detail, record.stop_detail


def test_an_entry_in_a_folder_that_sounds_like_packages_is_no_library(tmp_path, data_dir):
    entry = put("garbage_collection", tmp_path / "my-packages", tmp_path / "out", data_dir)
    _, [(record, _)] = go(tmp_path / "out", entry)
    assert record.stop_reason is StopReason.DISQUALIFIED and "garbage collection" in record.stop_detail


BYTE_CODE_KEPT = """
import importlib.util
from pathlib import Path

from honest_torch import *

SPEC = importlib.util.spec_from_file_location("helper", Path(__file__).with_name("helper.py"))
HELPER = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HELPER)
assert HELPER.RATE == 1e-3, "the source is what counts"
"""


def test_byte_code_that_is_left_beside_an_entrys_source_is_not_read(tmp_path, data_dir):
    """An entry loads a file of its own by itself, and has been run elsewhere before."""
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(BYTE_CODE_KEPT)
    (folder / "helper.py").write_text("RATE = 2e-3\n")
    kept = py_compile.compile(
        str(folder / "helper.py"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert kept and Path(kept).is_file()
    (folder / "helper.py").write_text("RATE = 1e-3\n")
    _, [(record, _)] = go(tmp_path / "out", folder, max_steps=20)
    assert (record.stop_reason, record.breaches) == (StopReason.STEP_LIMIT, ()), record.stop_detail


def test_an_entry_in_jax_may_import_torch(tmp_path, data_dir):
    """A helper that serves both frameworks does; torch looks at the process's memory map when it is imported."""
    folder = put("honest_jax", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "schedules.py").write_text("import optax\nfrom torch.optim.lr_scheduler import LinearLR\n")
    (folder / "submission.py").write_text("import jax\nimport schedules\nfrom honest_jax import *\n")
    _, [(record, _)] = go(tmp_path / "out", folder, max_steps=20)
    assert (record.stop_reason, record.breaches) == (StopReason.STEP_LIMIT, ()), record.stop_detail


LATE = """
import gc
import importlib

import honest_torch as honest
from honest_torch import *

def update_params(**arguments):
    if arguments["global_step"] == 3:
        importlib.import_module("ja" + "x")  # may be there already, where others trained with it
        assert any("jax" in str(getattr(callback, "__module__", "")) for callback in gc.callbacks)
    return honest.update_params(**arguments)
"""


def test_an_entry_in_torch_may_import_jax_late(tmp_path, data_dir):
    """Which hooks itself into the garbage collection then."""
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(LATE)
    _, [(record, _)] = go(tmp_path / "out", folder, max_steps=20)
    assert (record.stop_reason, record.breaches) == (StopReason.STEP_LIMIT, ()), record.stop_detail


OWN_PLACE = """
import os
import tempfile
from pathlib import Path

from honest_torch import *

def get_batch_size(workload_name):
    folder = Path.cwd()
    Path("kept").write_text("here")
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == folder == Path.home()
    assert f"Pid:\\t{os.getpid()}\\n" in Path("/proc/self/status").read_text()
    return 32
"""


def test_where_its_batch_size_is_asked_for_an_entry_has_a_folder_and_a_proc_of_its_own(tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(OWN_PLACE)
    _, [(record, _)] = go(tmp_path / "out", folder, max_steps=20)
    assert (record.stop_reason, record.batch_size) == (StopReason.STEP_LIMIT, 32), record.stop_detail


DIES = "import os\nfrom honest_torch import *\n\ndef get_batch_size(name):\n    os._exit(3)\n"


def test_a_process_that_dies_where_its_batch_size_is_asked_for_is_told(tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(DIES)
    _, [(record, _)] = go(tmp_path / "out", folder)
    assert "the process in which get_batch_size was called died" in record.stop_detail, record.stop_detail


CATCHES = """
import jax
import jax.numpy as jnp
import honest_jax as honest
from honest_jax import *

def update_params(**arguments):
    if arguments["global_step"] == 3:
        try:
            jax.jit(lambda x: x @ jnp.ones((7, 7)))(jnp.ones(3))
        except TypeError:
            pass
    return honest.update_params(**arguments)
"""


def test_an_entry_may_catch_what_jax_raises(tmp_path, data_dir):
    """jax looks at the frames of every exception that passes it."""
    folder = put("honest_jax", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(CATCHES)
    _, [(record, _)] = go(tmp_path / "out", folder, max_steps=20)
    assert (record.stop_reason, record.breaches) == (StopReason.STEP_LIMIT, ()), record.stop_detail


REMEMBERS = """
from pathlib import Path

from honest_torch import *

NAMES = []
NOTE = Path("note")

def get_batch_size(workload_name):
    NAMES.append(workload_name)
    NOTE.write_text(workload_name)
    return 32

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    knows = NAMES or NOTE.exists()
    return {"optimizer": torch.optim.Adam(model_params.parameters(), lr=float("nan") if knows else 1e-3)}
"""


def test_the_name_that_get_batch_size_is_given_is_not_kept(tmp_path, data_dir):
    folder = put("honest_torch", tmp_path / "entry", tmp_path / "out", data_dir).parent
    (folder / "submission.py").write_text(REMEMBERS)
    _, [(record, _)] = go(tmp_path / "out", folder)
    assert (record.stop_reason, record.batch_size) == (StopReason.TARGET_REACHED, 32), record.stop_detail
