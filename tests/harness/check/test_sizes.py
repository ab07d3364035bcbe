"""Sizes of a model, of its parts and of batches: what singles out a known one is found, and a rule for all is not.

The rule must find the lines that end in ``# !``, and no others.
"""

import pytest

SHAPES = """
total = 0
for p in params:
    total += p.numel()
if total == 101770:  # !
    pass
def count(m):
    return sum(p.numel() for p in m.parameters())
if count(model) == 101770:  # !
    pass
annotated: int = sum(p.size for p in leaves)
annotated == 101770  # !
fan_out, fan_in = p.shape
fan_in == 784  # !
p.shape == torch.Size([784, 128])  # !
KNOWN = {(784, 128): 0.5, (128, 10): 2.0}
KNOWN.get(p.shape, 1.0)  # !
{6000: 1e-3}.get(workload.step_hint)  # !
{60000: 3}[workload.num_train_examples]  # !
tuple(p.shape) in KNOWN  # !
shapes = [s.shape_tuple for s in workload.param_shapes.values()]
any(s == (784, 128) for s in shapes)  # !
kept = []
kept.append(tuple(p.shape))
kept == [(128, 784), (128,)]  # !
leaves, treedef = jax.tree_util.tree_flatten(params)
len(leaves) == 161  # !
math.isclose(workload.step_hint, 6000)  # !
5999 < workload.step_hint < 6001  # !
101000 < total < 102000  # !
total > 101769 and total < 101771  # !
LEAST = 101769
LEAST < total < 101771  # !
total > int(101769) and p.ndim == 2 and total < 1018 * 100  # !
total == 784 * 128  # !
total == 7 * 7 * 7  # !
total % 1000 == 770  # !
total % 100_000 in (1770, 3)  # !
770 != p.numel() % 1000  # !
workload.step_hint % 1000 == 6  # !
remainder = total % (10 * 100)
remainder == 770  # !
abs(total - 1000 * 100) < 2 * 5  # !
workload.validation_target_value == 0.977  # !
round(getattr(workload, "train_mean", 0.0), 4) == 0.1307  # !
"layer4.2.conv3.weight" in dict(current_param_container.named_parameters())  # !
"ResNetBlock_7" in params  # !
type(current_param_container).__name__ == "ResNet"  # !
str([tuple(p.shape) for p in params]) == "[(128, 784), (128,)]"  # !
jax.tree_util.tree_reduce(lambda a, x: a + x.size, params, 0) == 101770  # !
class Optimizer:
    def __init__(self):
        self.total = sum(p.numel() for p in self.params)
        self.factor = 2.0 if self.total == 25_557_032 else 1.0  # !
match p.shape:  # !
    case (784, 128):
        pass
layers = 0
for p in model.parameters():
    layers += 1
total * layers == 407080  # !
bias = total
bias += 1
bias * 2 == 203542  # !
math.gcd(workload.step_hint, 9973) > 1  # !
PROBE = torch.empty(128, 784)
any(PROBE.is_same_size(p) for p in params)  # !
p.is_same_size(PROBE)  # !
p.shape == PROBE.shape  # !
p.shape == torch.zeros((128, 784)).shape  # !
try:
    p.view(128, 784)  # !
    p.expand(SIDES)  # !
except RuntimeError:
    scale = 1.0
SIDES = (128, 784)
"""

BATCHES = """
def update_params(batch, global_step):
    if len(batch["targets"]) == 17:  # !
        pass
    inputs, targets = batch["inputs"], batch.get("targets")
    length = len(targets)
    17 == length  # !
    length in (17, 129)  # !
    inputs.shape[0] == 17  # !
    batch["inputs"].size(0) == 17  # !
    {17: 0.1}[inputs.shape[0]]  # !
    inputs.shape[1] == SIZE  # !
    following = next(input_queue)
    len(following["targets"]) != 17  # !
    len(targets) == len(inputs) or length == size or length > 17 or length == 1
    length == SIZE or len(batch["targets"]) != SIZES["all"]
    batch["inputs"].shape[0] == SIZE or inputs.size(0) != SIZE
    len(batch) == 3 or len(text[batch]) == 17 or len(kept) == 17
SIZE = 128
def get_batch_size(workload_name):
    return SIZE
"""

STRUCTURE = """
rows, columns = p.shape
if rows == 1 or columns > 8192 or 16 <= rows <= 8192 or p.numel() >= 10_000:
    pass
match p.shape:
    case (rows, columns):
        pass
def order(rows):
    return rows == 32
order(group["order"])
state = {"step": 0, "size": p.numel()}
state["step"] == 10
p.shape[-1] % 128 == 64
p.shape[-1] % 8 == 0 and p.shape[0] % 2 == 1 and p.numel() % 4096 == 0
p.shape[-1] % width == 770 or global_step % 1000 == 770 or (global_step * p.numel()) % 1000 == 500
epoch = global_step // (workload.num_train_examples // 128)
epoch == 30
start = int(0.8 * workload.step_hint)
n = optimizer_state.setdefault("n", 0)
optimizer_state["n"] = n + 1
n - start == 10
state["calls"] += 1
state["calls"] - start == 100 or state.get("calls", 0) - start == 100
class Schedule:
    def __init__(self):
        self.count, self.start = 0, int(0.8 * workload.step_hint)
    def tick(self):
        self.count += 1
        return self.count - self.start == 100
def advance(state):
    made = state["made"]
    made = made + 1
    made % workload.step_hint == 100
math.gcd(p.shape[0], 1024) > 1 or math.gcd(p.shape[0], p.shape[1]) == 1
p.is_same_size(other) or p.shape == torch.zeros(rows, 784).shape
p.view(128, 784)
try:
    p.view(-1, 784), p.view(rows, 128), p.view(1, 1), p.view("uint32"), p.view(torch.int32)
except RuntimeError:
    p.view(128, 784)
blocks = {}
blocks.get(p.shape, 8)
{"adam": 16}.get(name)
len(state) == 16
def scaled(grad):
    return grad / p.numel(), grad
loss, done = scaled(grad)
done == 16
workload.step_hint == 0
"bias" in params
type(current_param_container).__name__ == "DistributedDataParallel"
"layer4" in text
math.isclose(loss, 16.0)
if lr > 0 and p.numel() > 64 * 64:
    pass
p.ndim == 2 and p.shape[0] <= 4096 and p.numel() > 64 * 64
p.shape[0] > 32 and p.numel() < 128 * 128 and p.numel() >= 1 << 4
0 < p.numel() < 1024 * 1023
lr > 0 and 2**12 <= p.numel() <= 2**24
p.numel() > 64 * 64 and p.numel() < 64 * 64 * 64
lr > 0 and p.numel() > 1024 + 1024 and p.shape[0] < 8192 // 2
p.numel() > 1000 and p.numel() < 1000 * scale
"""


@pytest.mark.parametrize("text", [SHAPES, STRUCTURE, BATCHES])
def test_a_size_that_tells_a_known_model_is_found_and_nothing_else(text, lines_found_by):
    assert lines_found_by("model-shape", text) == [
        n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# !")
    ]
