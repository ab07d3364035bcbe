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

CLEAN = [pytest.param({"edits": SLOW_WEIGHTS}, id="evaluates slow weights that have not moved at the first evaluation")]


@pytest.mark.parametrize("clean", CLEAN)
def test_an_honest_way_to_train_has_no_findings(clean, edited):
    loss = clean.pop("loss", "softmax")
    assert check(str(edited(**clean)), losses=[loss]).findings == ()
