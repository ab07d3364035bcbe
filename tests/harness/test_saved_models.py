"""A checkpoint made while an entry has another module evaluated than the one that it trains."""

import copy
import pickle

import pytest
import torch

from harness.saving import model_in, restore_training, save_training


def started(frozen):
    """The model, and the state that an entry makes with it."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    average = copy.deepcopy(model).requires_grad_(not frozen)
    return model, {"model": model, "average": average, "optimizer": torch.optim.Adam(model.parameters())}


def trained(frozen):
    model, state = started(frozen)
    with torch.no_grad():
        model.weight.fill_(5.0)
        state["average"].weight.fill_(3.0)
    return model, state


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("given", ["model", "average", "a copy"])
def test_the_model_and_the_module_that_is_evaluated_keep_their_identities_and_values(given, frozen):
    model, state = trained(frozen)
    container = copy.deepcopy(state["average"]) if given == "a copy" else state[given]
    saved = pickle.loads(pickle.dumps(save_training(container, None, state, model_in(model))))
    fresh, fresh_state = started(frozen)
    params, _, found = restore_training(saved, fresh, None, fresh_state)
    assert found["model"] is fresh and found["average"] is fresh_state["average"]
    assert (params is fresh, params is found["average"]) == (given == "model", given == "average")
    weights = [module.weight[0, 0].item() for module in (fresh, found["average"], params)]
    assert weights == [5.0, 3.0, 5.0 if given == "model" else 3.0]
    assert found["optimizer"].param_groups[0]["params"][0] is fresh.weight
    assert fresh.weight.requires_grad and found["average"].weight.requires_grad is not frozen


def test_a_tree_of_arrays_has_no_model():
    assert model_in({"kernel": torch.ones(2)}) is None and model_in(model := torch.nn.Linear(1, 1)) is model
