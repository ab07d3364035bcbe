"""What is saved of a training state is what it was: one object stays one, and nothing of it is lost."""

import collections
import functools
import pickle
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import struct

from harness.saving import CannotSaveError, restore, restore_training, save, save_training


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))


def stepped(net, optimizer, steps=1):
    for step in range(steps):
        optimizer.zero_grad()
        net(torch.arange(8.0).reshape(4, 2) + step).square().sum().backward()
        optimizer.step()
    return optimizer


def through(state, fresh, old=None, new=None):
    """A state in a fresh start, as another process would have it."""
    saved = pickle.loads(pickle.dumps(save_training(old, None, state)))
    return restore_training(saved, new, None, fresh)[2]


class Schedule:
    """A callable with memory."""

    def __init__(self, rate):
        self.rate, self.calls = rate, 0

    def __call__(self):
        self.calls += 1
        return self.rate / self.calls


class Sized(dict):
    def __init__(self, size):
        super().__init__()
        self.size = size


class Holder:
    def __init__(self, held):
        self.held = held


class Stateful(Holder):
    """Has a way of its own to be saved."""

    def state_dict(self):
        return {"held": self.held}

    def load_state_dict(self, state):
        self.held = state["held"] + 1


@struct.dataclass
class Static:
    values: jax.Array
    apply: object = struct.field(pytree_node=False)


# ---- one object stays one ----


def test_a_tensor_in_two_places_stays_one():
    def start():
        own = [torch.zeros(2, requires_grad=True)]
        return {"own": own, "outer": torch.optim.SGD(own, lr=1.0, momentum=0.5)}

    found = through(start(), start())
    assert found["outer"].param_groups[0]["params"][0] is found["own"][0]


def test_views_go_on_sharing_their_memory():
    flat = torch.arange(6.0)
    found = through({"parts": [flat[:2], flat[2:]], "flat": flat}, {})
    found["flat"].add_(1)
    assert [part.tolist() for part in found["parts"]] == [[1, 2], [3, 4, 5, 6]]


def test_a_view_of_a_parameter_is_one_afterwards():
    old, new = model(), model()
    found = through({"data": old[0].weight.data, "flat": old[2].weight.detach().view(-1)}, {}, old, new)
    with torch.no_grad():
        new[0].weight.fill_(7)
        new[2].weight.fill_(8)
    assert found["data"].unique().tolist() == [7] and found["flat"].unique().tolist() == [8]


def test_parameters_that_were_moved_into_one_buffer_are_in_it_afterwards():
    old, new = model(), model()
    flat = torch.cat([p.data.view(-1) for p in old.parameters()])
    offset = 0
    for p in old.parameters():
        p.data = flat[offset : offset + p.numel()].view_as(p)
        offset += p.numel()
    found = through({"flat": flat.add_(1)}, {}, old, new)
    found["flat"].zero_()
    assert all(not p.any() for p in new.parameters())


def test_an_average_that_starts_as_a_view_of_the_parameters_does_not_stay_one():
    old, new = model(), model()
    found = through({"average": [p.detach().clone().fill_(3) for p in old.parameters()]},
                    {"average": [p.detach() for p in new.parameters()]}, old, new)  # fmt: skip
    assert all((a == 3).all() and not (p == 3).any() for a, p in zip(found["average"], new.parameters(), strict=True))


def test_what_the_state_holds_of_the_model_is_the_fresh_model():
    old, new = model(), model()
    parts = {"object": Holder(old), "layer": old[1], "statistics": old[1].running_mean, "by": {old[0].weight: 1}}
    found = through(parts, {"object": Holder(new)}, old, new)
    assert found["object"].held is new and found["layer"] is new[1] and found["statistics"] is new[1].running_mean
    assert found["by"] == {new[0].weight: 1}


def test_objects_are_those_that_closures_and_hooks_of_the_fresh_start_see():
    def start():
        memory = Holder(0)
        return {"memory": memory, "look": lambda: memory.held}

    state = start()
    state["memory"].held = 5
    assert through(state, start())["look"]() == 5


def test_two_objects_stay_two_where_a_fresh_start_has_one():
    one = Holder(0)
    found = through({"a": Holder(1), "b": Holder(2)}, {"a": one, "b": one})
    assert (found["a"].held, found["b"].held) == (1, 2)


# ---- nothing is lost ----


def test_the_model_has_its_values_gradients_and_settings():
    old, new = model(), model()
    stepped(old, torch.optim.SGD(old.parameters(), lr=0.1), 2)
    old[0].bias.requires_grad_(False)
    old[1].momentum, old.training = 0.3, False
    old[0].weight.kept = torch.ones(2)
    restore_training(save_training(old, None, {}), new, None, {})
    for (name, a), b in zip(old.named_parameters(), new.parameters(), strict=True):
        assert torch.equal(a, b) and torch.equal(a.grad, b.grad) and a.requires_grad is b.requires_grad, name
        assert a.grad is not b.grad
    assert all(torch.equal(a, b) for a, b in zip(old.buffers(), new.buffers(), strict=True))
    assert new[1].momentum == 0.3 and not new.training and torch.equal(new[0].weight.kept, torch.ones(2))


def test_gradients_that_there_were_not_are_not_there():
    old, new = model(), model()
    stepped(new, torch.optim.SGD(new.parameters(), lr=0.1))
    restore_training(save_training(old, None, {}), new, None, {})
    assert all(p.grad is None for p in new.parameters())


def test_a_callable_with_memory_and_partials_keep_their_content():
    schedule = Schedule(1.0)
    schedule()
    state = {"schedule": schedule, "step": functools.partial(jnp.add, jnp.ones(2)),
             "tree": jax.tree_util.Partial(jnp.add, jnp.ones(2)), "method": schedule.__call__}  # fmt: skip
    found = through(state, {"schedule": Schedule(1.0)})
    assert found["schedule"].calls == 1 and found["method"].__self__ is found["schedule"]
    assert found["step"](1).tolist() == found["tree"](1).tolist() == [2, 2]


def test_dictionaries_of_other_classes_stay_what_they_are():
    counts = collections.defaultdict(list, {1: [2]})
    sized = Sized(3)
    sized["a"] = 1
    found = through({"counts": counts, "sized": sized, "order": collections.OrderedDict(b=1, a=2)}, {"sized": Sized(3)})
    assert found["counts"][5] == [] and found["counts"][1] == [2]
    assert type(found["sized"]) is Sized and found["sized"] == {"a": 1} and found["sized"].size == 3
    assert list(found["order"]) == ["b", "a"]


def test_attributes_made_after_the_checkpoint_are_gone():
    fresh = Holder(0)
    state = {"holder": Holder(1)}
    saved = save(state, None)
    for _ in range(2):
        found = restore(saved, {"holder": fresh}, None)["holder"]
        assert vars(found) == {"held": 1}
        found.made_in_rehearsal = True


@pytest.mark.parametrize("later", ["another class", "another group"])
def test_an_optimizer_that_changed_is_the_changed_one(later):
    old, new = model(), model()

    def start(net):
        return torch.optim.AdamW(list(net.parameters())[:2], lr=0.01)

    optimizer = stepped(old, start(old))
    if later == "another class":
        optimizer = torch.optim.SGD(old.parameters(), lr=0.1, momentum=0.9)
    else:
        optimizer.add_param_group({"params": list(old.parameters())[2:], "lr": 0.1})
    stepped(old, optimizer, 2)
    found = through({"optimizer": optimizer}, {"optimizer": start(new)}, old, new)["optimizer"]
    assert type(found) is type(optimizer) and len(found.param_groups) == len(optimizer.param_groups)
    for net, each in ((old, optimizer), (new, found)):
        stepped(net, each, 3)
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))


def test_state_of_low_precision_is_not_rounded():
    old, new = model(), model()
    optimizer, fresh = (torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (old, new))
    stepped(old, optimizer)
    optimizer.state[old[0].weight]["wide"] = torch.tensor([1 / 3], dtype=torch.float64)
    found = through({"optimizer": optimizer}, {"optimizer": fresh}, old, new)["optimizer"]
    assert found is fresh and found.state[new[0].weight]["wide"].dtype is torch.float64


def test_attributes_of_an_optimizer_are_saved():
    old, new = model(), model()
    optimizer, fresh = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (old, new))
    optimizer.step_count = 3
    assert through({"optimizer": optimizer}, {"optimizer": fresh}, old, new)["optimizer"].step_count == 3


# ---- what a fresh start has ----


def cached(total):
    @functools.lru_cache
    def rate(step):
        return 1 - step / total

    return rate


def test_a_schedule_of_torch_with_a_cached_function_goes_on():
    def start(net):
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        return {"optimizer": optimizer, "schedule": torch.optim.lr_scheduler.LambdaLR(optimizer, cached(10))}

    old, new = model(), model()
    state = start(old)
    for _ in range(3):
        stepped(old, state["optimizer"])
        state["schedule"].step()
    found = through(state, start(new), old, new)
    assert found["schedule"].optimizer is found["optimizer"]
    stepped(new, found["optimizer"])
    found["schedule"].step()
    assert found["optimizer"].param_groups[0]["lr"] == pytest.approx(0.6)


def test_functions_in_static_fields_objects_and_local_classes_are_the_fresh_starts():
    def start(value):
        point = collections.namedtuple("Point", "rate")(0.1)
        return {
            "static": Static(jnp.full(2, value), lambda: value),
            "multi": optax.MultiSteps(optax.adam(1e-3), 2),
            "queue": collections.deque([jax.jit(lambda x: x + value)]),
            "point": point,
            "proxy": types.MappingProxyType({"f": lambda: value}),
            "lock": Holder(threading.Lock()),
        }

    fresh = start(5.0)
    found = through(start(1.0), fresh)
    assert found["static"].values.tolist() == [1, 1] and found["static"].apply is fresh["static"].apply
    assert found["multi"] is fresh["multi"] and found["queue"][0] is fresh["queue"][0]
    assert found["proxy"]["f"] is fresh["proxy"]["f"]
    assert type(found["point"]) is type(fresh["point"]) and found["lock"].held is fresh["lock"].held


def test_handles_of_hooks_are_the_fresh_starts():
    def start(net):
        return {"object": Holder([net[0].register_forward_hook(lambda *_: None)])}

    old, new = model(), model()
    fresh = start(new)
    (handle,) = fresh["object"].held
    assert through(start(old), fresh, old, new)["object"].held == [handle]
    assert len(new[0]._forward_hooks) == 1


def test_functions_with_a_name_are_saved_by_it_and_modules_too():
    found = through({"f": len, "m": types, "relu": jax.nn.relu}, {"f": max})
    assert found == {"f": len, "m": types, "relu": jax.nn.relu}


def test_a_function_that_a_fresh_start_does_not_make_is_told():
    state = {"inner": [Holder(lambda: 1)]}
    with pytest.raises(CannotSaveError, match=r"optimizer_state\['inner'\]\[0\]\.held is a function"):
        through(state, {"inner": []})
    swapped = {"update": optax.adam(1e-3).update}
    with pytest.raises(CannotSaveError, match=r"optimizer_state\['update'\] is a function"):
        through(swapped, {"update": optax.sgd(1e-3).update})


def test_what_cannot_be_saved_is_told_with_its_place():
    with pytest.raises(CannotSaveError, match=r"optimizer_state\['o'\]\.held\[0\] \(generator\) cannot be saved"):
        save({"o": Holder([(i for i in range(3))])}, None)


def test_another_model_is_told():
    with pytest.raises(CannotSaveError, match="has shape"):
        through({}, {}, torch.nn.Linear(2, 3), torch.nn.Linear(2, 4))
    with pytest.raises(CannotSaveError, match="no parameter 'bias'"):
        through({}, {}, torch.nn.Linear(2, 3), torch.nn.Linear(2, 3, bias=False))


# ---- ways of an entry's own ----


def test_an_own_way_of_loading_is_followed():
    assert through({"own": Stateful(1)}, {"own": Stateful(0)})["own"].held == 2


def test_what_cannot_be_pickled_is_loaded_by_its_state():
    class Lazy(torch.optim.SGD):
        compiled = None

        def compile(self):
            self.compiled = lambda: 1
            return self

    def start(net):
        return Lazy(net.parameters(), lr=0.1, momentum=0.9)

    old, new = model(), model()
    optimizer = stepped(old, start(old)).compile()
    fresh = start(new)
    found = through({"optimizer": optimizer}, {"optimizer": fresh}, old, new)["optimizer"]
    assert found is fresh and found.compiled is None
    stepped(old, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(old.parameters(), stepped_model(new, found), strict=True))


def stepped_model(net, optimizer):
    stepped(net, optimizer)
    return net.parameters()


def test_a_stateful_object_that_holds_a_generator_keeps_its_state_and_the_fresh_generator():
    def start(value):
        made = Stateful(value)
        made.numbers = iter(x for x in range(3))
        return made

    fresh = start(0)
    numbers = fresh.numbers
    found = through({"own": start(1)}, {"own": fresh})["own"]
    assert found.held == 2 and found.numbers is numbers
    with pytest.raises(CannotSaveError, match="nothing there to load its state into"):
        through({"own": start(1)}, {})


def test_an_average_of_the_model_stays_the_module_that_compiled_code_holds():
    def start():
        net = model()
        return {"average": net, "compiled": torch.compile(net, backend="eager")}

    state, fresh = start(), start()
    with torch.no_grad():
        state["average"][0].weight.fill_(4)
    weight = fresh["average"][0].weight
    found = through(state, fresh)
    assert found["average"] is fresh["average"] and found["compiled"]._orig_mod is found["average"]
    assert found["average"][0].weight is weight and (weight == 4).all()


class Watching(Stateful):
    """Looks at another object while it loads its state."""

    def load_state_dict(self, state):
        self.held = state["held"]
        self.seen = self.other.other.held


def test_states_are_loaded_when_everything_is_there():
    def start(value):
        first, second = Watching(value), Watching(value + 1)
        first.other, second.other = second, first
        return {"first": first, "second": second}

    found = through(start(1), start(0))
    assert (found["first"].seen, found["second"].seen) == (1, 2)


def test_a_module_that_is_saved_by_its_state_keeps_its_values():
    def start():
        net = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2))
        return {"average": net, "optimizer": torch.optim.SGD(net.parameters(), lr=1.0)}

    state, fresh = start(), start()
    found = through(state, fresh)
    assert torch.equal(found["average"].weight, state["average"].weight)
    assert next(iter(found["average"].parameters())) is found["optimizer"].param_groups[0]["params"][0]


# ---- jax ----


def test_arrays_are_placed_as_the_fresh_starts():
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("batch",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    fresh = {"a": jax.device_put(jnp.zeros(2), sharding), "b": jnp.zeros(2)}
    saved = save_training({"p": jnp.ones(2)}, None, {"a": jnp.ones(2), "b": jnp.ones(2), "key": jax.random.key(3)})
    params, _, found = restore_training(saved, {"p": fresh["a"]}, None, fresh)
    assert found["a"].sharding == params["p"].sharding == sharding and found["a"].committed
    assert not found["b"].committed and found["b"].tolist() == [1, 1] == params["p"].tolist()
    assert jax.random.key_data(found["key"]).tolist() == [0, 3]


def test_a_key_of_the_fresh_start_is_not_overwritten():
    fresh = {"key": jax.random.key(0)}
    key = fresh["key"]
    assert through({"key": jax.random.key(3)}, fresh)["key"] is not key
    assert jax.random.key_data(key).tolist() == [0, 0]
