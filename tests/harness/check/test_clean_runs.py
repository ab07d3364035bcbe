"""Honest ways to train that a run must not accuse: each is an edit of a clean template, and has no findings."""

import pytest

from harness.check import check

EVALUATES_SLOW = """

def prepare_for_eval(workload, current_param_container, current_params_types, model_state, hyperparameters, loss_type,
                     optimizer_state, eval_results, global_step, rng):
    model = current_param_container
    optimizer_state["fast"] = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for p, slow in zip(model.parameters(), optimizer_state["slow"]):
            p.copy_(slow)
    return optimizer_state, model, model_state


def data_selection("""

SLOW_WEIGHTS = {
    "settings_of(hyperparameters))}": "settings_of(hyperparameters)), 'fast': None,"
    " 'slow': [p.detach().clone() for p in model_params.parameters()]}",
    "    optimizer.zero_grad()\n": """    if optimizer_state["fast"] is not None:
        with torch.no_grad():
            for p, fast in zip(current_param_container.parameters(), optimizer_state["fast"]):
                p.copy_(fast)
    optimizer_state["fast"] = None
    optimizer.zero_grad()
""",
    "end": [
        "if global_step % 5 == 4:",
        "    with torch.no_grad():",
        "        for p, slow in zip(current_param_container.parameters(), optimizer_state['slow']):",
        "            p.copy_(slow.lerp_(p, 0.5))",
    ],
    "\n\ndef data_selection(": EVALUATES_SLOW,
}
"""Lookahead (arXiv 1907.08610): the slow weights are evaluated, and are the initial ones for five steps."""

BESIDE_A_PARAMETER = {
    "end": [
        "with torch.no_grad():",
        "    p = current_param_container.Dense_0.weight",
        "    p.ema = 0.5 * getattr(p, 'ema', 0) + p",
        "    p.mul_(0.9).add_(p.ema, alpha=0.1)",
    ]
}
IN_ITS_OPTIMIZER = {
    '"lr": settings["learning_rate"]})\n': '"lr": settings["learning_rate"]})\n        self.calls = 0\n',
    "    def step(self):\n": "    def step(self):\n        self.calls += 1\n",
    'value=-group["lr"] / (': 'value=-group["lr"] / self.calls / (',
}
"""What a ``state_dict`` does not have, and a checkpoint has."""

HOLDS_STATISTICS = {
    "top": "import functools\n\nfrom algoperf import pytorch_utils",
    "    optimizer.zero_grad()\n": "    hold = functools.partial(pytorch_utils.update_batch_norm_fn, "
    "update_batch_norm=False)\n    current_param_container.apply(hold)\n    optimizer.zero_grad()\n",
}
"""AlgoPerf's way not to add a pass to batch norm's running statistics: it changes settings of modules."""

COUNTS_IN_MODULES = {
    "    optimizer.zero_grad()\n": "    for module in current_param_container.modules():\n"
    "        module.calls = getattr(module, 'calls', 0) + 1\n    optimizer.zero_grad()\n",
}
"""As second-order methods do in hooks."""

CLEAN = [
    pytest.param({"edits": COUNTS_IN_MODULES}, id="counts beside the modules"),
    pytest.param({"edits": HOLDS_STATISTICS}, id="holds batch norm's statistics by AlgoPerf's function"),
    pytest.param({"edits": SLOW_WEIGHTS}, id="evaluates slow weights that have not moved at the first evaluation"),
    pytest.param({"edits": BESIDE_A_PARAMETER}, id="keeps an average beside a parameter"),
    pytest.param({"edits": IN_ITS_OPTIMIZER}, id="counts in its optimizer"),
]


@pytest.mark.parametrize("clean", CLEAN)
def test_an_honest_way_to_train_has_no_findings(clean, edited):
    loss = clean.pop("loss", "softmax")
    assert check(str(edited(**clean)), losses=[loss]).findings == ()
