"""An entry must not tell the workload by names: of workloads, of the model's class, of its metric.

A row is a rule and a text; the rule must find the lines that end in ``# !``, and no others.
"""

import pytest

from harness.check import check
from harness.check.layers import KINDS
from harness.scaffold import new_entry

TABLES = """
RATES = {"imagenet_resnet": 1e-3, "wmt": 2e-3}  # !
ONE = {"wmt": 2.0}  # !
NESTED = {"mnist": {"rate": 1e-3}}  # !
SPACE = dict(mnist=0.1, wmt=0.2)  # !
PAIRS = [("mnist", 0.1), ("wmt", 0.2)]  # !
SUFFIXED = {"mnist_rate": 0.1, "rate_wmt": 0.2}  # !
WORDS = "mnist,wmt,ogbg".split(",")  # !
NAMES = ["mnist", "wmt"]  # !
class Rates:  # !
    mnist: float = 0.1
    wmt: float = 0.2
def update_params(x):
    RATES[x], ONE.get(x), NESTED[x], SPACE[x], dict(PAIRS)[x], SUFFIXED[x], WORDS.index(x), x in NAMES
    getattr(Rates, x)
    return {"mnist": 1.0}.get(x)  # !
"""

CONSTANTS = """
RATE_WMT = 0.1  # !
RATE_MNIST = 0.2
def update_params(x):
    return RATE_WMT if x > 3 else RATE_MNIST
"""

SHARED = """
SIZES = {"mnist": 128}  # !
def get_batch_size(workload_name):
    return SIZES[workload_name]
def update_params(x):
    return SIZES[x]
"""

SIZES = """
import logging
log = logging.getLogger(__name__)
SIZES = {"mnist": 128, "wmt": 64}
WMT_SIZE = 3
OGBG_SIZE = 3
TESTED_ON = ("mnist", "wmt")
SOURCES = {"wmt": "https://nlp.stanford.edu/wmt"}
def size_of(workload_name):
    if workload_name == "mnist":
        return OGBG_SIZE
    return SIZES.get(workload_name, WMT_SIZE)
def get_batch_size(workload_name):
    return size_of(workload_name)
def get_eval_batch_size(workload_name):
    return size_of(workload_name)
def update_params(x):
    "Runs mnist and wmt."
    log.info("tested on %s", TESTED_ON)
    print({"mnist": 1.0})
    augment(imagenet=True)
    url = "https://data.org/wmt/mnist"
    text = "tuned on wmt"
"""

QUESTIONS = """
re.match("wmt", x)  # !
operator.eq(x, "mnist")  # !
{"mnist"} & names  # !
"wmt".__eq__(x)  # !
x.setdefault("wmt", 3)  # !
fnmatch.fnmatch(x, "*wmt*")  # !
match x:
    case "mnist" | "ogbg":  # !
        pass
dir(workload)  # !
workload.model_fn.__qualname__  # !
workload.loss_fn.__module__  # !
"""

CLASSES = """
def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    net = model_params.module
    kind = type(net).__name__
    if kind == "ResNet":  # !
        pass
    if model_params.__class__.__name__.lower().startswith("res"):  # !
        pass
    if "ResNet" in str(type(model_params)):  # !
        pass
    if "conformer" in f"{model_params}".lower():  # !
        pass
    if type(net).__module__ == "workloads.wmt.model":  # !
        pass
    match type(net).__qualname__:  # !
        case "ResNet":
            pass
    RATES = {"ResNet": 1e-3}
    RATES.get(kind)  # !
    RATES[type(net).__name__]  # !
    re.search("ViT", repr(net))  # !
    log.info("on a %s", kind)
    if type(net).__name__ == "DistributedDataParallel":
        pass
    for module in net.modules():
        if type(module).__name__ == "Conv2d":
            pass
    for p in model_params:
        str(p) == "w"
"""

MODULES = """
for module in model_params.modules():
    if type(module).__name__ == "ConformerBlock":  # !
        pass
    kind = module.__class__.__name__
    kind == "GNN"  # !
    kind.startswith("Conformer")  # !
    kind in ("Linear", "BatchNorm2d", "LayerNorm", "Conv2d", "Embedding", "MultiheadAttention")
    kind in ("Linear", "ConformerBlock")  # !
    {"DLRM": 0.1}.get(kind, 1.0)  # !
    kind.find("Conv") != -1 or "norm" in kind.lower() or kind.endswith(("Norm", "Norm2d"))
    kind == "LayerNorm2d" or kind == "Conv1D" or kind == "DistributedDataParallel" or kind == "OptimizedModule"
    type(module).__module__.startswith("torch.nn")
    str(type(module)) == "<class 'torch.nn.modules.linear.Linear'>"
    type(module).__module__ == "workloads.wmt.model"  # !
    isinstance(module, (torch.nn.Linear, torch.nn.LSTM)) or kind == other
    log.info("a %s", kind)
for name, part in model_params.named_modules():
    part._get_name() == "DlrmSmall"  # !
    part.__class__.__qualname__ in kept
for index, part in enumerate(model.children()):
    type(part).__name__ == "Encoder1DBlock"  # !
kinds = {type(m).__name__ for m in current_param_container.modules()}
"GraphNetwork" in kinds  # !
any(type(m).__name__ == "ConformerBlock" for _, m in net.named_children())  # !
def is_block(layer):
    return type(layer).__name__ == "ConformerBlock"  # !
[is_block(m) for m in model.modules()]
blocks = [m for m in list(model.modules()) if len(list(m.children())) > 1]
for block in blocks:
    type(block).__name__ == "ConformerBlock"  # !
type(optimizer).__name__ == "AdamW" or type(count(model.modules())).__name__ == "int"
rate = rate_of(block)
type(rate).__name__ == "float"
"""

LAYERS = """
for name, p in model.named_parameters():
    if name == "layer4.2.conv3.weight":  # !
        pass
    if name.startswith("module.encoder.layers.5"):  # !
        pass
    if name.endswith(".bias") or "norm1" in name or "embed" in name or name in decayed:
        pass
    found = re.search(r"layers\\.(\\d+)\\.", name)
    "conv2" in name.split(".")
flat = flatten_dict(params)
("Conv_0", "kernel") in flat  # !
sorted(current_param_container) == ["Dense_0", "Dense_1"]  # !
names = {name for name, _ in model.named_parameters()}
"encoder.3.attn.weight" in names  # !
"""

PASSED = """
import functools, operator
def init_optimizer_state(workload, model_params, *rest):
    pick = lambda w=workload: w.variant  # !
    return functools.partial(kept, workload), other(job=workload)
def kept(task, scale):
    return task.name  # !
def other(*, job):
    return job.name  # !
def update_params(workload, *rest):
    getattr(workload, "name")  # !
    object.__getattribute__(workload, "name")  # !
    operator.attrgetter("name")(workload), operator.attrgetter("name")(rest)  # !
    getattr(workload, "step_hint"), getattr(rest, "name")
"""

METRICS = """
BY = {"wer": 1}
metric = workload.target_metric_name
if metric == "ssim":  # !
    pass
if workload.target_metric_name in ("loss", "wer"):  # !
    pass
BY[metric]  # !
best = eval_results[-1][1]["validation/" + metric]
last = eval_results[-1][1].get(f"validation/{metric}")
f"validation/{metric}" in eval_results[-1][1]
metric is None
(workload.loss_type, workload.target_metric_name) == (spec.LossType.SOFTMAX_CROSS_ENTROPY, "bleu")  # !
(metric, "x") in [("bleu", "y"), ("wer", "x")]  # !
known = (loss_type, metric)
known != (spec.LossType.CTC, "wer")  # !
{(True, "wer"): 1}.get((larger, metric))  # !
match (loss_type, metric):  # !
    case (spec.LossType.CTC, "wer"):
        pass
(workload.loss_type, workload.target_metric_name) == (spec.LossType.CTC, metric)
(name, metric) == ("bias", metric)
"validation/wer" in eval_results[-1][1]  # !
eval_results[-1][1].get("validation/ssim")  # !
"validation/loss" in eval_results[-1][1]
"""

NUMBERS = """
workload.num_classes == 1000  # !
len(workload.param_shapes) == 161  # !
jax.tree_util.tree_structure(params).num_leaves == 161  # !
(workload.loss_type, workload.num_train_examples) == (spec.LossType.MEAN_ABSOLUTE_ERROR, 34742)  # !
for known, rate in [(10666, 0.1), (48000, 0.2)]:
    workload.step_hint == known  # !
numpy.any(numpy.array([6000]) == workload.step_hint)  # !
numpy.isin(workload.step_hint, [6000])  # !
{6000: 1e-3}[workload.step_hint]  # !
hash(workload.step_hint) == 123456789  # !
hashlib.md5(str(p.shape).encode()).hexdigest() == "0a1b2c3d4567"  # !
str(p.shape).startswith("torch.Size([784")  # !
n = sum(p.numel() for p in params)
n - 101770 == 0  # !
n ^ 101770 == 0  # !
not (n - 101770)  # !
abs(n - 101770) < 1  # !
n >= 101770 and n < 101771  # !
{n} & {101770}  # !
[101770].count(n)  # !
n.__eq__(101770)  # !
n in range(101770, 101771)  # !
{n}.issubset({101770, 5})  # !
n in range(10, 100000)
global_step == workload.step_hint - 100
p.shape[0] - p.shape[1] == 0
abs(n - 1024) < 512
n > 1000 and n < 100000
p.shape[0] >= 128 and p.shape[1] <= 128
hash(tuple(p.shape)) % 16 == 8
global_step == workload.step_hint
schedule = cosine(int(0.75 * workload.step_hint))
"""


KEYS = """
import zlib
RATES = (1e-3, 2e-3, 3e-3)
hint = workload.step_hint
zlib.crc32(str(workload.step_hint).encode()) % 7  # !
hash(hint) % 3  # !
RATES[workload.step_hint % 3]  # !
(1e-3, 2e-3)[hint % 2]  # !
RATES[workload.num_train_examples // 10_000]  # !
table = [cosine(step) for step in range(hint)]
table[hint - 1], table[hint // 2]
RATES[global_step // (hint // 3)], RATES[global_step * 3 // hint]
hash(tuple(p.shape)) % 16 == 8
warmup = int(0.1 * hint) % 10
hash(name)
"""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("model-shape", KEYS),
        ("workload-name", TABLES),
        ("workload-name", CONSTANTS),
        ("workload-name", SHARED),
        ("workload-name", SIZES),
        ("workload-name", QUESTIONS),
        ("model-shape", CLASSES),
        ("model-shape", NUMBERS),
        ("model-shape", LAYERS),
        ("model-shape", MODULES),
        ("workload-name", PASSED),
        ("workload-name", "def get_batch_size(n, seen=[]):\n    seen.append(n)  # !\n    setattr(Store, 'n', n)  # !"),
        ("metric-name", METRICS),
    ],
)
def test_what_tells_a_workload_is_found_and_nothing_else(rule, text, lines_found_by):
    assert lines_found_by(rule, text) == [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# !")]


@pytest.mark.parametrize(
    ("use", "rules"),
    [
        ("def get_batch_size(workload_name):\n    return SIZES[workload_name]\n", []),
        ("RATE = SIZES.get(KEY)\n", ["workload-name"]),
    ],
)
def test_a_table_may_stand_in_another_file_where_it_serves_get_batch_size_alone(use, rules, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "sizes.py").write_text('SIZES = {"mnist": 128, "wmt": 64}\n')
    source = (entry / "submission.py").read_text()
    if rules == []:
        source = source.replace("def get_batch_size", "def unused")
    (entry / "submission.py").write_text(f"{source}\n\nfrom sizes import SIZES\n\nKEY = 'x'\n{use}")
    assert [finding.rule for finding in check(str(entry), run=False).findings] == rules


def test_a_size_is_compared_with_a_constant_of_another_file(tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "known.py").write_text("SHAPE = (784, 128)\n")
    source = (entry / "submission.py").read_text()
    text = "from .known import SHAPE\n\n\ndef is_known(p):\n    return p.shape == SHAPE\n"
    (entry / "submission.py").write_text(f"{source}\n\n{text}")
    assert [finding.rule for finding in check(str(entry), run=False).findings] == ["model-shape"]


@pytest.mark.parametrize(
    "use", ["from .rates import rate_of as f\nf(3, workload)", "import rates\nrates.Rates(workload)"]
)
def test_the_workload_is_followed_into_another_file(use, tmp_path):
    entry = new_entry("mine", "torch", tmp_path)
    (entry / "rates.py").write_text(RATES)
    source = (entry / "submission.py").read_text()
    head, call = use.split("\n")
    (entry / "submission.py").write_text(f"{source}\n\n{head}\n\n\ndef rate(workload):\n    return {call}\n")
    line = 2 if "rate_of" in use else 5
    assert [(f.rule, f.path.name, f.line) for f in check(str(entry), run=False).findings] == [
        ("workload-name", "rates.py", line)
    ]


RATES = """def rate_of(scale, task):
    return scale * len(task.name)
class Rates:
    def __init__(self, task):
        self.rate = task.name
"""


def test_all_kinds_of_layers_of_torch_are_known():
    import torch

    modules = {n for n, kind in vars(torch.nn).items() if isinstance(kind, type) and issubclass(kind, torch.nn.Module)}
    assert modules <= KINDS
