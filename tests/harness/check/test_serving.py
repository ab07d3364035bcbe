"""Batch sizes by the workload's name are fine wherever get_batch_size has them from, while nothing else uses them.

The rule on names must find the lines of a text that end in ``# !``, and no others.
"""

import pytest

from harness.check import check
from harness.scaffold import new_entry

LAMBDA = """
import functools
SIZES = {"mnist": 16, "cifar": 128}
base_of = lambda name: SIZES["mnist"] if name == "mnist" else 32
get_batch_size = lambda workload_name: base_of(workload_name) * len(workload_name)
get_eval_batch_size = functools.lru_cache(maxsize=None)(lambda workload_name: {"wmt": 8}[workload_name])
"""

LAMBDA_SHARED = """
SIZES = {"mnist": 16, "cifar": 128}  # !
base_of = lambda name: SIZES["mnist"] if name == "mnist" else 32  # !
get_batch_size = lambda workload_name: base_of(workload_name)
def update_params(x):
    return base_of(x)
"""

LAMBDA_KEEPS = """
SEEN = []
get_batch_size = lambda workload_name: SEEN.append(workload_name) or 16  # !
get_eval_batch_size = lambda workload_name: SEEN.__setitem__(0, workload_name) or 16  # !
"""

LEAVES = """
get_batch_size = (RATES := {"mnist": 1e-3, "wmt": 2e-3}).get  # !
get_eval_batch_size = keep({"mnist": 1e-3}).get  # !
def update_params(x):
    return RATES[x]
"""

LEAVES_LATER = """
import functools
get_batch_size = functools.partial(RATES.update, {"mnist": 1e-3})()  # !
get_eval_batch_size = sorted({"mnist": 1e-3}, key=RATES.append).index  # !
"""

LEAVES_EARLIER = """
@keep({"mnist": 1e-3, "wmt": 2e-3})  # !
def get_batch_size(workload_name):
    return 16
@kept.copy({"mnist": 1e-3})  # !
def get_eval_batch_size(workload_name):
    return 16
"""

KEEPER = """
class Keeper:
    def note(self, name):
        self.task = name  # !
        return 16
keeper = Keeper()
def get_batch_size(workload_name):
    return keeper.note(workload_name)
def update_params(x):
    keeper.note(x)
"""

METHOD = """
class Entry:
    sizes = {"mnist": 16, "wmt": 128}
    def __init__(self):
        self.larger = {"mnist": 32}
        self.rate = 0.1
    def get_batch_size(self, workload_name):
        if workload_name == "mnist":
            return self.larger[workload_name]
        return self.sizes[workload_name]
    def update_params(self, x):
        return self.rate
entry = Entry()
get_batch_size = entry.get_batch_size
update_params = entry.update_params
"""

METHOD_SHARED = """
class Entry:
    sizes = {"mnist": 16, "wmt": 128}  # !
    def __init__(self):
        self.larger = {"mnist": 32}  # !
    def get_batch_size(self, workload_name):
        return self.sizes[workload_name] + self.larger[workload_name]
    def update_params(self, x):
        return self.sizes[x] + self.larger[x]
entry = Entry()
get_batch_size = entry.get_batch_size
update_params = entry.update_params
"""

METHOD_KEEPS = """
class Entry:
    def get_batch_size(self, workload_name):
        self.task = workload_name  # !
        return 16
    def update_params(self, x):
        return self.task
entry = Entry()
get_batch_size = entry.get_batch_size
update_params = entry.update_params
"""

METHOD_CALLED = """
class Entry:
    def get_batch_size(self, workload_name):
        return {"mnist": 16, "wmt": 128}[workload_name]  # !
def get_batch_size(workload_name):
    return Entry().get_batch_size(workload_name)
def update_params(x):
    return Entry().get_batch_size(x)
"""

STATIC = """
class Sizes:
    scale = 2
    @staticmethod
    def batch(workload_name):
        if workload_name == "mnist":
            return 16
        raise ValueError(workload_name)
    def rate(name):
        return name == "wmt"  # !
def get_batch_size(workload_name):
    return Sizes.batch(workload_name)
def update_params(batch):
    return Sizes.rate(batch["inputs"]) * Sizes.scale
"""

TUPLE = """
from collections import namedtuple
Sizes = namedtuple("Sizes", "wmt ogbg")
SIZES = Sizes(wmt=128, ogbg=512)
Rates = namedtuple("Rates", "wmt ogbg")  # !
RATES = Rates(wmt=0.1, ogbg=0.2)  # !
KEPT = keep(namedtuple("Kept", "wmt ogbg"))
def get_batch_size(workload_name):
    return getattr(SIZES, workload_name)
def update_params(x):
    return getattr(RATES, x)
"""

CACHES = """
CACHE[id(workload), hash(workload)] = 1
assert isinstance(workload, spec.Workload)
isinstance(workload, known.Mnist)  # !
isinstance(workload, Mnist)  # !
from algoperf import spec
from workloads.wmt import workload as known
class Mnist:
    pass
id(type(workload))  # !
"""


@pytest.mark.parametrize(
    "text",
    [
        LAMBDA,
        LAMBDA_SHARED,
        LAMBDA_KEEPS,
        LEAVES,
        LEAVES_LATER,
        LEAVES_EARLIER,
        KEEPER,
        METHOD,
        METHOD_SHARED,
        METHOD_KEEPS,
        METHOD_CALLED,
        STATIC,
        TUPLE,
        CACHES,
    ],
)
def test_what_serves_get_batch_size_alone_may_know_names(text, lines_found_by):
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# !")]
    assert lines_found_by("workload-name", text) == lines


@pytest.mark.parametrize(("use", "found"), [("", []), ("RATE = RATES.get(KEY)\n", ["workload-name"])])
def test_a_table_of_another_file_is_known_under_another_name(use, found, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "sizes.py").write_text('SIZES = {"mnist": 128, "wmt": 64}\n')
    source = (entry / "submission.py").read_text().replace("def get_batch_size", "def unused")
    text = (
        "from .sizes import SIZES as RATES\n\nKEY = 'x'\nget_batch_size = lambda workload_name: RATES[workload_name]\n"
    )
    (entry / "submission.py").write_text(f"{source}\n\n{text}{use}")
    assert [finding.rule for finding in check(str(entry), run=False).findings] == found
