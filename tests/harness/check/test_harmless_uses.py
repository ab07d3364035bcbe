"""What looks like something forbidden and is none: times in log lines, packages that may be absent, files in memory.

A row is a rule and a text; the rule must find the lines that end in ``# !``, and no others.
"""

import pytest

SHOWN = """
import datetime, logging, sys, time
from absl import logging as absl_logging
from time import perf_counter as now
log = logging.getLogger(__name__)
def update_params(workload, global_step, eval_results):
    start = time.time()
    total = 0.0
    if global_step % 100 == 0:
        logging.info("%d: %.2f s", global_step, time.time() - start)
    took = now() - start
    total += took
    print(f"{round(took, 2)} s, {took:.1f}, {str(datetime.timedelta)}", file=sys.stderr)
    log.info("{:.2f} s in all, {}".format(total, datetime.datetime.now().isoformat()))
    absl_logging.info("at %s", time.strftime("%H:%M"))
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"seconds": 1.0}, global_step)
    def report():
        log.warning("since %s", start)
    report()
"""

REACHES = """
import io, logging, time
BEGAN = time.time()  # !
class Timer:
    began = time.time()  # !
    def __init__(self):
        self.start = time.time()  # !
def unused():
    now = time.time()  # !
def update_params(optimizer_state, keep, buffer):
    start = time.time()  # !
    logging.info("%s", start)
    if time.time() - start > 60:  # !
        logging.info("late")
    optimizer_state["start"] = time.monotonic()  # !
    shown = time.time()  # !
    print(shown, file=buffer)
    print(keep(time.time()), keep := time.time())  # !
    print(max(time.time(), 1, key=keep))  # !
    seen = print(time.time())  # !
    later = time.time()  # !
    text = f"{later}"
    logging.info(text)
    rate = float(text) / 2
    record = logging.makeLogRecord({"at": time.time()})  # !
    raise ValueError(time.time())  # !
def inner():
    class Kept:
        at = time.time()  # !
        print(at)
    return Kept.at
def outer():
    value = 0
    def setter():
        nonlocal value
        value = time.time()  # !
        print(value)
    return value
def told():
    return time.time()  # !
clock = time.time  # !
logging.info("%s", clock())
def held():
    at = time.time()  # !
    print(at)
    return lambda: at
"""

HEARD = """
import logging, time
class Keeps(logging.Handler):
    def emit(self, record):
        LATEST.append(record.args)
def update_params():
    logging.info("%s", time.time())  # !
"""

OPERATED = """
import time
class Keeps:
    def __rsub__(self, other):
        self.kept = other
def update_params(keeps):
    print(time.time() - keeps)  # !
"""

NAMED = """
import time
def update_params():
    start = time.time()  # !
    print(start)
    return locals()["start"]
"""

OPTIONAL = """
try:
    import wandb
except ImportError:
    wandb = None
try:
    import requests, urllib.request as web
    from socket import create_connection as connect
except ModuleNotFoundError:
    requests = None
if wandb is not None and requests:
    wandb.log({})  # !
    requests.get("x")  # !
    web.urlopen("x")  # !
    connect("x")  # !
    send = requests.post  # !
    use(requests)  # !
HAVE = wandb is not None
MISSING = not requests
try:
    pass
except ImportError:
    import http.client  # !
try:
    import ssl  # !
except ValueError:
    pass
import smtplib  # !
"""

FOUND = """
import importlib.util
from importlib.util import find_spec
HAVE = importlib.util.find_spec("jax") is not None
if find_spec("flax.linen"):
    pass
bool(find_spec("torch")) and not find_spec("optax")
find_spec(name) is not None  # !
find_spec("workloads.wmt") is not None  # !
find_spec("torch").loader  # !
spec = find_spec("torch")  # !
importlib.util.module_from_spec(spec)  # !
"""

IN_MEMORY = """
import io, torch, numpy
from io import BytesIO
def copied(model, path):
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    numpy.savez(BytesIO(), model), numpy.load(io.BytesIO(buffer.getvalue()))
    with BytesIO() as other:
        torch.save(model, f=other)
    return torch.load(buffer)
def saved(model, buffer):
    torch.save(model, buffer)  # save
    torch.load(buffer)  # load
class Keeper:
    def __init__(self):
        self.kept = BytesIO()
    def keep(self, model):
        torch.save(model, self.kept)
def written(model, path):
    place = io.BytesIO()
    place = path
    torch.save(model, place)  # save
    torch.load(io.BytesIO(b"cos"))  # load
    torch.load(io.BytesIO(initial_bytes=b"cos"))  # load
    hidden = BytesIO()
    hidden.write(b"cos")
    torch.load(hidden)  # load
    numpy.load(path), torch.load("x")  # load
"""

CORES = """
import multiprocessing, os
import torch.multiprocessing as mp
multiprocessing.cpu_count()  # cores
mp.cpu_count()  # cores
os.cpu_count()  # cores
multiprocessing.Pool(multiprocessing.cpu_count())  # both
"""


@pytest.mark.parametrize(
    ("rule", "text", "marks"),
    [
        ("clock", SHOWN, ["# !"]),
        ("clock", REACHES, ["# !"]),
        ("clock", HEARD, ["# !"]),
        ("clock", NAMED, ["# !"]),
        ("clock", OPERATED, ["# !"]),
        ("network", OPTIONAL, ["# !"]),
        ("hidden-code", FOUND, ["# !"]),
        ("writes-files", IN_MEMORY, ["# save"]),
        ("reads-files", IN_MEMORY, ["# load"]),
        ("environment", CORES, ["# cores", "# both"]),
        ("threads", CORES, ["# both"]),
    ],
)
def test_what_is_forbidden_is_found_and_what_looks_like_it_is_not(rule, text, marks, lines_found_by):
    lines = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith(tuple(marks))]
    assert sorted(set(lines_found_by(rule, text))) == lines
