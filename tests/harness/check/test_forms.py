"""The ordinary forms of what a rule forbids, each found on its line, and what looks like it and is fine.

A row is a rule and a text; the rule must find the lines that end in ``# !``, and no others.
"""

from pathlib import Path

import pytest

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

NAMES = """
import logging
def rate_of(task):
    return RATES.get(task.name, 1.0)  # !
rate_of(workload)
class Trainer:
    def __init__(self, job):
        self.job = job
    def factor(self):
        return self.job.name == "wmt"  # !
Trainer(workload)
"Mnist" in f"{workload}"  # !
"Mnist" in "%s" % workload  # !
"Mnist" in "{}".format(workload)  # !
label == "MNIST"  # !
SEEN = []
def remember(name):
    SEEN.append(name)  # !
def get_batch_size(workload_name):
    SEEN.append(workload_name)  # !
    remember(workload_name)
    sizes = {}
    sizes["mnist"] = 128
    sizes.update(wmt=64)
    return sizes[workload_name.lower()]
def other(task):
    return task.name
other(layer)
"%s of %d" % (name, 3), f"{layer.name}"
log = logging.getLogger(__name__)
log.info("on %s", type(workload).__name__)
raise ValueError(f"{workload} has no steps")
"""

WAITS = """
import queue, threading
threading.Event().wait(0.01)  # !
GATE = threading.Condition()
with GATE:
    GATE.wait_for(ready, 0.01)  # !
queue.Queue().get(timeout=0.01)  # !
todo = queue.Queue()
todo.put(3)
todo.get(), {}.get("timeout"), handle.wait()
todo.get(True, 0.01)  # !
with threading.Lock():
    pass
threading.Lock().acquire(timeout=3)  # !
threading.Lock().acquire()
"""

SWALLOWS = """
import contextlib
try:
    state, params = train_step(state, current_param_container, batch)
except Exception:  # !
    pass
with contextlib.suppress(Exception):  # !
    do_step(optimizer, loss)
safe, narrow = contextlib.suppress(Exception), contextlib.suppress(ValueError)
with torch.no_grad(), safe:  # !
    loss.backward()
with narrow:
    loss.backward()
with safe:
    report(loss)
def update():
    try:
        loss.backward()
    finally:
        return params  # !
try:
    steps = steps_in(text)
except Exception:
    steps = 1
try:
    train_step(batch)
except ValueError:
    pass
finally:
    def close():
        return 1
"""

SEEDS = """
import jax, torch
DEFAULTS = {"seed": 42}
def settings_of(hyperparameters):
    return DEFAULTS | hyperparameters._asdict()
def drawn(step):
    return RNGS[step] + my_rng.seed
def update_params(hyperparameters, global_step, rng):
    settings = settings_of(hyperparameters)
    torch.Generator().manual_seed(settings["seed"] + global_step)  # !
    jax.random.PRNGKey(global_step)  # !
    jax.random.key(DEFAULTS["seed"])  # !
    torch.manual_seed(len(DEFAULTS))  # !
    seed = int(global_step) * 7
    torch.manual_seed(seed)  # !
    jax.random.PRNGKey(rng[0] + global_step)
    own, last = jax.random.split(rng)
    torch.manual_seed(int(own[0]) % 2**31)
    torch.manual_seed(draw(rng) + settings["seed"])
    torch.manual_seed(make())
    torch.manual_seed(drawn(global_step))
    mixed = global_step
    mixed += int(rng[0])
    torch.manual_seed(mixed)
    torch.manual_seed(self.seed)
def other(seed):
    torch.manual_seed(seed)
"""

SEEDED = """
import random
import numpy as np
import scipy.stats
def seed_everything(rng):
    seed = int(np.asarray(rng)[-1])
    np.random.seed(seed)
np.random.beta(0.4, 0.4), scipy.stats.norm.rvs(size=3)
random.random()  # !
"""

UNSEEDED = """
import random
import numpy as np
random.seed(0)  # !
random.shuffle(rows)  # !
np.random.seed(global_step)  # !
np.random.beta(0.4, 0.4)  # !
np.random.default_rng(int(rng[0])).beta(0.4, 0.4)
"""

CALLBACKS = """
import functools, jax
from jax import debug
from jax.experimental import host_callback as hcb, io_callback
SEEN = []
def record(x):
    SEEN.append(x)
def put(name, x):
    global LAST
    LAST = x
class Recorder:
    def take(self, x):
        self.last = x
def train():
    box = {}
    def hold(x):
        box["x"] = x
    jax.debug.callback(hold, x)  # !
jax.debug.callback(record, x)  # !
debug.callback(lambda x: SEEN.append(x), x)  # !
debug.callback(SEEN.append, x)  # !
io_callback(functools.partial(put, "x"), None, x)  # !
hcb.id_tap(record, x)  # !
jax.pure_callback(Recorder().take, x, x)  # !
def show(x):
    text = f"{x}"
    print(text)
jax.debug.callback(show, x)
jax.pure_callback(numpy.linalg.eigh, shape, x)
jax.debug.print("{x}", x=x)
"""

INSPECTS = """
import inspect
from inspect import getsource
inspect.getfile(type(model))  # !
inspect.getmodule(x)  # !
getsource(workload.loss_fn)  # !
workload.loss_fn.__code__  # !
"fused" in inspect.signature(torch.optim.AdamW).parameters
inspect.isclass(x)
"""

MODULES = """
import sys
"workloads.wmt" in sys.modules  # !
[name for name in sys.modules if "resnet" in name]  # !
list(sys.modules.keys())  # !
"torch" in sys.modules, __name__ in sys.modules
sys.modules[__name__], sys.modules.get(__name__)
"""

IMPORTS = """
import importlib
from importlib import import_module
importlib.import_module("math"), import_module(".extra", __package__)
importlib.import_module(name)  # !
import_module("ma" + "th")  # !
importlib.reload(math)  # !
globals()["extra"].rate
globals()[name]  # !
globals()["__builtins__"]  # !
globals()["rate"] = 3  # !
globals().update(rate=3)  # !
"""

IMPORTED = """
import importlib as library
library.import_module("time").monotonic()  # !
clock = library.import_module("time")
clock.monotonic()  # !
now = getattr(library.import_module("time"), "time")  # !
library.import_module("urllib.request")  # net
globals()["clock"].time()  # !
clock.sleep
"""

PROCESSES = """
import asyncio, atexit, concurrent.futures, faulthandler, os, threading
import torch.multiprocessing as mp
mp.spawn(f)  # !
atexit.register(f)  # !
threading.Timer(1, f)  # !
asyncio.run(f())  # !
concurrent.futures.ThreadPoolExecutor()  # !
os.fork()  # !
os._exit(0)  # !
os.spawnlp(0, "ls")  # !
faulthandler.dump_traceback_later(9)  # !
threading.Lock(), threading.local(), faulthandler.enable()
"""

STATS = """
import io, os, numpy
from pathlib import Path
io.FileIO("x")  # !
os.fdopen(3)  # !
os.access("x", 4)  # !
os.path.getmtime("x")  # !
numpy.lib.format.open_memmap("x")  # !
input()  # !
getattr(Path("x"), "read_text")()  # !
folder, name = os.path.split(os.path.abspath(__file__))
open(os.path.join(folder, "table.txt"))
OWN, OTHER = Path(__file__).parent, Path("/etc/hosts")
OWN.joinpath("x").read_text()
OTHER.read_text()  # !
"""

LEFT_OUT = """
{k: v for k, v in row.items() if not k.startswith("test")}
[k for k in row if k.startswith("validation") and not k.startswith(("test/", "train/"))]
[k for k in row if "test/" not in k]
filter(lambda key: not key.startswith("test"), row)
filter(lambda key: key.startswith("test"), row)  # !
def is_ours(key):
    return "test/" not in key and math.isfinite(row[key])
[k for k in row if k.startswith("test/")]  # !
[k for k in row if not (k.startswith("test") and k.endswith("loss"))]  # !
[v if k.startswith("test") else 0 for k, v in row.items()]  # !
[v if not k.startswith("test") else -v for k, v in row.items()]  # !
for key, value in row.items():
    if key.startswith("test"):
        continue
    if not key.startswith("test"):
        best = min(best, value)
    if not key.startswith("test"):  # !
        pass
    else:
        best = value
    if key.startswith("test"):  # !
        best = value
    if "test/loss" in row or row["test/loss"]:  # !
        pass
"""

PARSED = """
import configparser
from pathlib import Path
class Conf:
    parser = configparser.ConfigParser()
    read = parser.read  # !
    parser.read("/etc/timetrial.ini")  # !
configparser.RawConfigParser().read(["/etc/timetrial.ini"])  # !
own = configparser.ConfigParser()
own.read(Path(__file__).parent / "c.ini")
own.read_string("[a]"), own.read_dict({}), other.read("x")
"""

GROUPS = """
import torch.distributed as dist
dist.init_process_group("gloo", init_method="tcp://127.0.0.1:29511", rank=0, world_size=1)  # !
WHERE = "tcp://10.0.0.1:1"
dist.init_process_group("gloo", WHERE)  # !
dist.init_process_group("nccl"), dist.init_process_group(backend="gloo", init_method="env://")
"""

COMPUTED = """
import logging, math, time
import torch
pause = staticmethod(getattr(time, "sl" + "eep"))  # !
getattr(time, name)()  # !
time.__dict__["sl" + "eep"](1)  # !
vars(time)[name]  # !
clock = time
getattr(clock, name)  # !
getattr(torch, dtype), getattr(logging, level), getattr(math, name), getattr(self, name), vars(self), map(getattr, x, y)
getattr(time, "strptime"), vars()
"""

PICKLED = """
import base64, pickle, torch
from pickle import loads
pickle.loads(b"cbuiltins\\neval\\n.")  # !
TEXT = "Y2J1aWx0aW5zCmV2YWwKLg=="
loads(base64.b64decode(TEXT))  # !
pickle.loads(pickle.dumps(model)), pickle.loads(self.saved), copier(pickle.loads)
torch.jit.CompilationUnit("def f(x: float) -> float:\\n    return x")  # !
torch.jit.script(model)
"""

FORMS = [
    ("patches", "object.__setattr__(workload, 'step_hint', 10)  # !\nobject.__setattr__(self, 'rate', 1)"),
    ("randomness", SEEDS),
    ("randomness", SEEDED),
    ("randomness", UNSEEDED),
    ("patches", "eval_results.clear()  # !\ncurrent_params_types.clear()  # !\nworkload.param_shapes.clear()  # !"),
    ("patches", "seen = list(eval_results)\nseen.clear()\nworkload.metrics_logger.append_scalar_metrics({}, 1)"),
    ("swallows", SWALLOWS),
    ("patches", "import builtins\nbuiltins.print = len  # !\nlist = 3\nnames = dict()\nnames['a'] = 3"),
    ("patches", "from unittest import mock\nmock.patch('jax.nn.relu', f).start()  # !\nmock.Mock()"),
    ("patches", "from unittest.mock import patch\nwith patch.object(a, 'b'):  # !\n    pass"),
    ("global-settings", "import sys\nsys.path.insert(0, '/opt/tricks')  # !\nsys.path.append(__file__[:-3])"),
    ("global-settings", "import os\nos.chdir('/tmp')  # !\nos.getcwd()"),
    ("reads-files", STATS),
    ("sleeps", "import signal\nsignal.sigtimedwait([1], 2)  # !\nimport torch\ntorch.cuda._sleep(9)  # !"),
    ("clock", "import time\ntime.thread_time_ns()  # !\nimport pandas\npandas.Timestamp.now()  # !"),
    ("environment", "import os, sys\nos.getuid()  # !\nos.sched_getaffinity(0)  # !\nsys.version_info, sys.platform"),
    ("randomness", "import scipy.stats as s\ns.norm.rvs(size=3)  # !\ns.norm.rvs(size=3, random_state=int(rng[0]))"),
    ("peeks", "[k for k in results if k.startswith('test')]  # !\nkey.startswith('val')\nname == 'test'"),
    ("peeks", "getattr(workload, 'load_split')('test')  # !"),
    ("peeks", LEFT_OUT),
    ("patches", "import torch\nvars(torch)['x'] = 1  # !\nvars(self)['x'] = 1"),
    (
        "hidden-code",
        "__builtins__['eval']  # !\nimport types\ntypes.FunctionType(f, {})  # !\ntypes.MappingProxyType({})",
    ),
    ("network", "import logging.handlers\nlogging.handlers.HTTPHandler('a', 'b')  # !\nimport pip  # !"),
    ("writes-files", "frame.to_csv('x')  # !\nimport jax\njax.profiler.start_trace('x')  # !"),
    ("callbacks", CALLBACKS),
    ("introspection", INSPECTS),
    ("hidden-code", MODULES),
    ("hidden-code", IMPORTS),
    ("clock", IMPORTED),
    ("network", IMPORTED.replace("# !", "").replace("# net", "# !")),
    ("hidden-code", "import torch\ntorch._C._aoti.AOTIModelContainerRunnerCpu(x, 1)  # !"),
    ("hidden-code", "import torch\ntorch._inductor.aoti_load_package(x)  # !\ntorch._export.aot_load(x, 'cpu')  # !"),
    ("hidden-code", "import gc\ngc.get_referents(x)  # !\ngc.collect()\nimport cffi  # !\nimport copy"),
    ("threads", PROCESSES),
    ("network", "import torch.distributed as dist\ndist.TCPStore('a', 1)  # !\ndist.all_reduce(x)\ndist.barrier()"),
    ("writes-files", "from torch.distributed import FileStore\nFileStore('a', 1)  # !"),
    ("environment", "import os, sys\nos.cpu_count()  # !\nos.path.expanduser('~')  # !\nsys.argv  # !\nos.sep"),
    ("network", "import jax\njax.distributed.initialize('10.0.0.1:1')  # !\njax.distributed.is_initialized()"),
    ("environment", "import posix\nfrom posix import environ\nposix.environ  # !\nenviron.get(b'LR')  # !\nposix.sep"),
    ("threads", "import posix as p\np.fork()  # !"),
    ("network", "import _socket  # !\nimport _io"),
    ("reads-files", "import _io\n_io.open('/etc/hosts')  # !"),
    (
        "environment",
        "from sysconfig import get_config_var as ask\nask('HOST_GNU_TYPE')  # !\nimport site\nsite.getuserbase()  # !",
    ),
    ("clock", "import logging\nlogging.makeLogRecord({}).created  # !\ndef keep(record: logging.LogRecord):\n    pass"),
    ("network", GROUPS),
    ("hidden-code", COMPUTED),
    ("hidden-code", PICKLED),
    ("sleeps", WAITS),
    ("sleeps", "from time import *\nsleep(0.01)  # !\nctime"),
    ("threads", "from torch.utils.data import DataLoader\nDataLoader(x)\nDataLoader(x, num_workers=2)  # !"),
    ("threads", "import torch.utils.data as data\ndata.DataLoader(x, num_workers=0)\ndata.DataLoader"),
    ("threads", "import torch\ntorch.jit.fork(work, x)  # !"),
    ("workload-name", NAMES),
    ("reads-files", READS),
    ("reads-files", PARSED),
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
def test_a_rule_finds_the_forms_of_what_it_forbids_and_nothing_else(rule, text, lines_found_by):
    assert lines_found_by(rule, text) == [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# !")]


def test_a_file_in_a_package_may_reach_up_to_the_folder_of_the_entry(lines_found_by):
    text = "from pathlib import Path\n(Path(__file__).parent.parent / 'c.json').read_text()"
    assert lines_found_by("reads-files", text, Path("/entries/mine/package/reading.py")) == []
    assert lines_found_by(
        "reads-files", text.replace(".parent.", ".parent.parent."), Path("/entries/mine/package/r.py")
    ) == [2]
