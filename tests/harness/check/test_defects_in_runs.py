"""Planted defects that are seen when an entry runs: each must be found by its rule on its line."""

import pytest

from harness.check import RULES, Limits, check

RETURN = "    return optimizer_state, current_param_container, model_state\n"
STEP = "    optimizer.step()\n" + RETURN
QUEUE = "    return next(input_queue)\n"
UPDATE = "def update_params("
SIZE = "def get_batch_size("
NO_SIZE = 'raise ValueError(f"no batch size for {workload_name}")'


def defect(name, rule, at, edits=None, **more):
    """A row for the fixture ``planted``."""
    return pytest.param(dict(rule=rule, at=at, edits=edits or {}, **more), id=name)


WHEN_IT_RUNS = [
    defect(
        "returns two values",
        "returns",
        UPDATE,
        {STEP: "    optimizer.step()\n    return optimizer_state, current_param_container\n"},
    ),
    defect(
        "raises on one loss type",
        "crashes",
        "raise RuntimeError('no')",
        {"end": ["if loss_type is spec.LossType.SIGMOID_CROSS_ENTROPY:", "    raise RuntimeError('no')"]},
        loss="sigmoid",
    ),
    defect(
        "diverges on one loss type",
        "diverges",
        UPDATE,
        {
            "end": [
                "if loss_type is spec.LossType.MEAN_ABSOLUTE_ERROR:",
                "    with torch.no_grad():",
                "        next(current_param_container.parameters()).mul_(float('nan'))",
            ]
        },
        loss="absolute",
    ),
    defect(
        "differs from run to run",
        "not-reproducible",
        UPDATE,
        {
            "end": [
                "with torch.no_grad():",
                "    next(current_param_container.parameters()).add_(1e-3 * (torch.Generator().seed() % 97))",
            ]
        },
    ),
    defect(
        "differs from run to run after the checkpoint alone",
        "not-reproducible",
        UPDATE,
        {
            "end": [
                "with torch.no_grad():",
                "    drawn = torch.Generator().seed() % 97 if global_step >= 5 else 0",
                "    next(current_param_container.parameters()).add_(1e-3 * drawn)",
            ]
        },
    ),
    defect(
        "uses one seed for all",
        "ignores-seed",
        UPDATE,
        {"    optimizer.zero_grad()\n": "    torch.manual_seed(int(global_step))\n    optimizer.zero_grad()\n"},
    ),
    defect(
        "sows one seed at the start and draws from torch's generator",
        "ignores-seed",
        UPDATE,
        {'    return {"optimizer": My': '    torch.manual_seed(0)\n    return {"optimizer": My'},
    ),
    defect(
        "keeps momentum in a global",
        "checkpoint",
        "def init_optimizer_state",
        {
            "DEFAULTS = {": "MEMORY = {}\nDEFAULTS = {",
            "end": [
                "with torch.no_grad():",
                "    p = next(current_param_container.parameters())",
                "    MEMORY['p'] = 0.5 * MEMORY.get('p', 0) + p",
                "    p.mul_(0.9).add_(MEMORY['p'], alpha=0.1)",
            ],
        },
        says="of their length: submission.MEMORY['p'] is not in it",
    ),
    defect(
        "keeps what cannot be saved",
        "checkpoint",
        "def init_optimizer_state",
        {
            "settings_of(hyperparameters))}": 'settings_of(hyperparameters)), "steps": iter(x for x in range(9))}',
        },
    ),
    defect(
        "changes the workload behind its back",
        "changes-workload",
        UPDATE,
        {"end": ["vars_of = workload.__class__.__mro__ and workload.__dict__", "vars_of['variant'] = 'mine'"]},
    ),
    defect(
        "has an optimizer whose state cannot be loaded",
        "checkpoint",
        "def init_optimizer_state",
        {
            "    @torch.no_grad()\n    def step(self):": "    def state_dict(self):\n        return {'groups': 1}\n\n"
            "    @torch.no_grad()\n    def step(self):",
        },
    ),
    defect("changes the batch in place", "changes-batch", UPDATE, {"end": ["batch['targets'].zero_()"]}),
    defect(
        "changes real inputs in place",
        "changes-batch",
        UPDATE,
        {"end": ["if batch['inputs'].is_floating_point():", "    batch['inputs'].mul_(0.9)"]},
    ),
    defect(
        "changes one array of a pair",
        "changes-batch",
        UPDATE,
        {"end": ["batch['inputs'][1].zero_()"]},
        loss="ctc",
    ),
    defect(
        "takes labels with paddings for an array",
        "crashes",
        "batch['targets'].shape",
        {"end": ["size = batch['targets'].shape[0]"]},
        loss="ctc",
    ),
    defect(
        "takes the weights for the number of examples",
        "crashes",
        "assert",
        {"end": ["assert losses['n_valid_examples'] == len(batch['index'])"]},
    ),
    defect(
        "changes the batch where it draws it",
        "changes-batch",
        "def data_selection",
        {QUEUE: "    batch = next(input_queue)\n    batch['targets'].zero_()\n    return batch\n"},
    ),
    defect(
        "forgets the results in disguise",
        "changes-workload",
        UPDATE,
        {"end": ["for method in (eval_results.clear,): method()"]},
    ),
    defect(
        "changes the model's structure",
        "changes-model",
        UPDATE,
        {"end": ["current_param_container.register_parameter('extra', torch.nn.Parameter(torch.zeros(2)))"]},
    ),
    defect(
        "sets the momentum of batch norm",
        "changes-model",
        UPDATE,
        {
            "end": [
                "for m in current_param_container.modules():",
                "    if hasattr(m, 'momentum'):",
                "        m.momentum = 0.5",
            ]
        },
        says="update_params sets BatchNorm_0.momentum of the model, which was 0.0999",
    ),
    defect(
        "sets what layer norm adds at the start",
        "changes-model",
        "def init_optimizer_state",
        {
            '    return {"optimizer": My': "    for m in model_params.modules():\n        if hasattr(m, 'eps'):\n"
            '            m.eps = 0.01\n    return {"optimizer": My'
        },
        says="init_optimizer_state sets ",
    ),
    defect(
        "changes the threads at run time",
        "global-settings",
        UPDATE,
        {"end": ["setter = vars(torch)['set_num_' + 'threads']", "setter(2)"]},
    ),
    defect(
        "patches at run time",
        "patches",
        UPDATE,
        {
            "import math\n": "import math\nimport time as t\n",
            "end": ["vars_of = t.__dict__", "vars_of.update(monotonic_ns=lambda: 0)"],
        },
    ),
    defect("writes in disguise", "writes-files", UPDATE, {"end": ["logits.detach().numpy().dump('shared')"]}),
    defect(
        "kills its process",
        "crashes",
        UPDATE,
        {"import math\n": "import math\nimport os\n", "end": ["os._exit(7)"]},
    ),
    defect("crashes at import", "crashes", "1 / 0", {"DEFAULTS = {": "1 / 0\nDEFAULTS = {"}),
    defect("hangs", "hangs", "sigwait", {"top": "import signal", "end": ["signal.sigwait([signal.SIGUSR2])"]}),
    defect(
        "hoards memory",
        "memory",
        "while True",
        {"end": ["hoard = []", "while True: hoard.append(torch.ones(10_000_000))"]},
    ),
    defect(
        "compiles for most of its time",
        "compile-time",
        UPDATE,
        {"top": "import time", "end": ["while time.process_time() < 15: pass"]},
    ),
    defect(
        "adds losses up with their graphs",
        "memory",
        UPDATE,
        {"end": ["optimizer_state.__setitem__('loss', optimizer_state.get('loss', 0.0) + loss)"]},
        says="optimizer_state['loss'] keeps the graph of every step; give it .detach()",
    ),
    defect(
        "keeps all logits",
        "memory",
        UPDATE,
        {"end": ["optimizer_state.setdefault('seen', []).append(logits)"]},
        says="optimizer_state['seen'][0] keeps the graph",
    ),
    defect(
        "returns nothing at a later step",
        "returns",
        UPDATE,
        {"end": ["if global_step == 5:", "    return None"]},
        says="update_params returned NoneType; return (optimizer_state",
    ),
    defect(
        "has a batch size that is no integer",
        "returns",
        SIZE,
        {NO_SIZE: "return 48.5"},
        says="returned 48.5; return a positive integer",
    ),
    defect(
        "has huge batches",
        "batch-size",
        SIZE,
        {NO_SIZE: "return 100_000"},
        says="gives 100,000 for librispeech_conformer at mini scale, which trains on 600 examples",
    ),
    defect(
        "swaps the arguments of the model",
        "crashes",
        "logits, model_state = workload.model_fn(",
        {
            "params=current_param_container,": "params=batch,",
            "augmented_and_preprocessed_input_batch=batch,": "augmented_and_preprocessed_input_batch=0,",
        },
        says="model_fn: params, the parameters, is of the type dict; it takes (params, ",
    ),
    defect(
        "swaps the arguments of the loss",
        "crashes",
        "losses = workload.loss_fn(",
        {'label_batch=batch["targets"], logits_batch=logits': 'label_batch=logits, logits_batch=batch["targets"]'},
        says="loss_fn: label_batch has the shape (16, 8) and logits_batch (16,), as if swapped",
    ),
    defect(
        "loads with workers in disguise",
        "threads",
        "next(iter(",
        {
            "import math\n": "import functools\nimport math\n\nfrom torch.utils import data\n",
            "DEFAULTS = {": "LOADER = functools.partial(data.DataLoader, **{'num_workers': 1})\nDEFAULTS = {",
            "end": ["next(iter(LOADER(data.TensorDataset(torch.ones(4)))))"],
        },
        says="do the work in update_params, in the thread that calls it",
    ),
    defect(
        "differentiates attention twice",
        "crashes",
        "sum(g.square()",
        {
            "    loss.backward()\n": "    ps = list(current_param_container.parameters())\n"
            "    gs = torch.autograd.grad(loss, ps, create_graph=True, allow_unused=True)\n"
            "    sum(g.square().sum() for g in gs if g is not None).backward()\n"
        },
        says="put `with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):` around",
    ),
    defect(
        "differentiates CTC twice",
        "crashes",
        "g.square().sum()",
        {
            "    loss.backward()\n": "    *_, last = current_param_container.parameters()\n"
            "    (g,) = torch.autograd.grad(loss, last, create_graph=True)\n"
            "    g.square().sum().backward()\n"
        },
        loss="ctc",
        says="no second derivative: where loss_type is CTC_LOSS, estimate curvature from gradients alone",
    ),
    defect(
        "keeps in a global what it needs in every step",
        "crashes",
        "SEEN['steps'] += 1",
        {
            "DEFAULTS = {": "SEEN = {}\nDEFAULTS = {",
            "end": ["SEEN.update({} if global_step else {'steps': 0})", "SEEN['steps'] += 1"],
        },
        says="(the same steps ran well without a restart: something in optimizer_state, or in a module's globals, does "
        "not survive saving and restoring); keep everything that later steps depend on in optimizer_state",
    ),
    defect("does not train", "does-not-train", UPDATE, {STEP: RETURN}),
]


@pytest.mark.parametrize("defect", WHEN_IT_RUNS)
def test_a_defect_that_shows_when_it_runs_is_found_by_its_rule_on_its_line(defect, planted):
    rule = defect["rule"]
    limits = Limits(silent_sec=20.0 if rule == "hangs" else 300.0, memory_bytes=3 * 2**29)
    entry, (_, _, line) = planted(**defect)
    report = check(str(entry), losses=[defect.get("loss", "softmax")], limits=limits)
    found = [finding for finding in report.findings if finding.rule == rule]
    assert line in [finding.line for finding in found], report.findings
    assert any(defect.get("says", "") in f"{finding.message}; {finding.mend}" for finding in found), found
    assert all(finding.mend and finding.message for finding in report.findings)
    assert report.ran == ("torch",)


def test_there_are_defects_for_every_rule_on_what_runs():
    tried_elsewhere = {"changes-data"}
    planted = {row.values[0]["rule"] for row in WHEN_IT_RUNS}
    assert {name for name, rule in RULES.items() if rule.kind == "run"} <= planted | tried_elsewhere


def test_a_clean_entry_of_each_framework_passes_on_every_type_of_loss():
    for reference, losses in (
        ("template_torch", ("softmax", "sigmoid", "absolute", "squared", "ctc")),
        ("nadamw_cosine", ("ctc",)),
    ):
        report = check(reference, losses=losses)
        assert report.findings == (), report.findings
    assert report.ran == ("torch", "jax")
