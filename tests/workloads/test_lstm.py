"""The bidirectional LSTM of both frameworks against torch's own with packed sequences, in double precision."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from harness.frameworks.jax import nest
from harness.spec import capture_layers
from workloads.layers_jax import Scope
from workloads.librispeech_deepspeech.architecture import bidirectional_lstm as declared
from workloads.librispeech_deepspeech.lstm_jax import bidirectional_lstm
from workloads.librispeech_deepspeech.lstm_torch import BidirectionalLSTM, turned_rows

INPUTS, FEATURES, LENGTH = 5, 3, 7
LENGTHS = (4, 7, 1, 6)


@pytest.fixture
def values():
    """Values by the name below the layer; biases are not 0."""
    random = np.random.RandomState(0)
    parameters = declared("L", INPUTS, FEATURES)
    return {p.name.removeprefix("L."): 0.7 * random.standard_normal(p.shape) for p in parameters}


@pytest.fixture
def x():
    return np.random.RandomState(1).standard_normal((len(LENGTHS), LENGTH, INPUTS))


PADDINGS = (np.arange(LENGTH) >= np.array(LENGTHS)[:, None]).astype(np.float64)
MASK = 1 - PADDINGS[..., None]
COTANGENT = np.random.RandomState(2).standard_normal((len(LENGTHS), LENGTH, 2 * FEATURES))
"""The results are weighted with it for the gradients. It is not zero at paddings."""


def oracle(values, x):
    """States and gradients by the library's layer, over packed sequences."""
    layer = torch.nn.LSTM(INPUTS, FEATURES, batch_first=True, bidirectional=True, dtype=torch.float64)
    suffixes = {"Forward": "l0", "Backward": "l0_reverse"}
    with torch.no_grad():
        for direction, suffix in suffixes.items():
            for side, source in (("i", "ih"), ("h", "hh")):
                kernels = [values[f"{direction}.{side}{gate}.kernel"].T for gate in "ifgo"]
                getattr(layer, f"weight_{source}_{suffix}").copy_(torch.tensor(np.concatenate(kernels)))
            getattr(layer, f"bias_ih_{suffix}").zero_()
            bias = np.concatenate([values[f"{direction}.h{gate}.bias"] for gate in "ifgo"])
            getattr(layer, f"bias_hh_{suffix}").copy_(torch.tensor(bias))
    leaf = torch.tensor(x, requires_grad=True)
    packed = pack_padded_sequence(leaf, LENGTHS, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=LENGTH)
    (states * torch.tensor(COTANGENT)).sum().backward()
    gradients = {"x": leaf.grad.numpy()}
    for direction, suffix in suffixes.items():
        for side, source in (("i", "ih"), ("h", "hh")):
            parts = getattr(layer, f"weight_{source}_{suffix}").grad.numpy().reshape(4, FEATURES, -1)
            gradients |= {f"{direction}.{side}{gate}.kernel": part.T for gate, part in zip("ifgo", parts, strict=True)}
        parts = getattr(layer, f"bias_hh_{suffix}").grad.numpy().reshape(4, FEATURES)
        gradients |= {f"{direction}.h{gate}.bias": part for gate, part in zip("ifgo", parts, strict=True)}
    return states.detach().numpy(), gradients


def torch_layer(values, dtype=torch.float64):
    layer = BidirectionalLSTM(INPUTS, FEATURES).to(dtype)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            value = values[name.replace("weight", "kernel")]
            parameter.copy_(torch.tensor(value.T))
    return layer


def with_torch(values, x, dtype=torch.float64):
    layer = torch_layer(values, dtype)
    leaf = torch.tensor(x, dtype=dtype, requires_grad=True)
    states = layer(leaf, torch.tensor(MASK, dtype=dtype), turned_rows(torch.tensor(PADDINGS)))
    (states * torch.tensor(COTANGENT)).sum().backward()
    gradients = {name.replace("weight", "kernel"): p.grad.numpy().T for name, p in layer.named_parameters()}
    return states.detach().numpy(), {"x": leaf.grad.numpy(), **gradients}


def with_jax(values, x):
    def summed(values, x):
        states = bidirectional_lstm(Scope(nest(values)), x, jnp.asarray(MASK))
        return (states * COTANGENT).sum(), states

    with jax.enable_x64(True):
        (_, states), (of_values, of_x) = jax.jit(jax.value_and_grad(summed, (0, 1), has_aux=True))(values, x)
    return np.asarray(states), {"x": np.asarray(of_x), **jax.tree.map(np.asarray, of_values)}


@pytest.mark.parametrize("compute", [with_torch, with_jax])
def test_states_and_gradients_are_those_of_packed_sequences(compute, values, x):
    expected, expected_gradients = oracle(values, x)
    states, gradients = compute(values, x)
    assert states.dtype == np.float64
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-12)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-9, atol=1e-12, err_msg=name)


def test_single_precision_which_another_kernel_computes_gives_the_same(values, x):
    expected, expected_gradients = oracle(values, x)
    states, gradients = with_torch(values, x, torch.float32)
    assert states.dtype == np.float32
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-5)
    for name, gradient in expected_gradients.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("compute", [with_torch, with_jax])
def test_what_lies_in_paddings_neither_matters_nor_is_given_out(compute, values, x):
    louder = x + 100.0 * PADDINGS[..., None]
    states, gradients = compute(values, x)
    np.testing.assert_array_equal(compute(values, louder)[0], states)
    assert (states[PADDINGS == 1] == 0).all()
    assert (gradients["x"][PADDINGS == 1] == 0).all()


def test_evaluation_without_gradients_gives_the_same_states(values, x):
    layer, turned = torch_layer(values, torch.float32), turned_rows(torch.tensor(PADDINGS))
    x, mask = (torch.tensor(array, dtype=torch.float32) for array in (x, MASK))
    states = layer(x, mask, turned)
    with torch.no_grad():
        assert torch.allclose(layer(x, mask, turned), states, atol=1e-6)


def recorded_by_torch(values, x):
    layer, outputs = torch_layer(values), {}

    def keep(name):
        return lambda module, inputs, output: outputs.update({name: output.detach().numpy()})

    for name, module in layer.named_modules():
        if name.count(".") == 1:
            module.register_forward_hook(keep(f"{name}.kernel"))
    layer(torch.tensor(x), torch.tensor(MASK), turned_rows(torch.tensor(PADDINGS)))
    return outputs


def recorded_by_jax(values, x):
    with jax.enable_x64(True), capture_layers() as outputs:
        bidirectional_lstm(Scope(nest(jax.tree.map(jnp.asarray, values))), jnp.asarray(x), jnp.asarray(MASK))
    return jax.tree.map(np.asarray, outputs)


@pytest.mark.parametrize("record", [recorded_by_torch, recorded_by_jax])
def test_recorded_outputs_of_kernels_make_the_states(record, values, x):
    """The gates are the sums of what the two kernels give, and the states follow from the gates step by step."""
    states, outputs = oracle(values, x)[0], record(values, x)
    assert outputs.keys() == {name for name in values if name.endswith("kernel")}
    for direction, part in (("Forward", slice(None, FEATURES)), ("Backward", slice(FEATURES, None))):
        gates = [outputs[f"{direction}.i{gate}.kernel"] + outputs[f"{direction}.h{gate}.kernel"] for gate in "ifgo"]
        for row, length in enumerate(LENGTHS):
            cell, steps = np.zeros(FEATURES), range(length)
            for step in steps if direction == "Forward" else reversed(steps):
                admit, forget, emit = (1 / (1 + np.exp(-gates[i][row, step])) for i in (0, 1, 3))
                cell = forget * cell + admit * np.tanh(gates[2][row, step])
                np.testing.assert_allclose(emit * np.tanh(cell), states[row, step, part], atol=1e-12)
