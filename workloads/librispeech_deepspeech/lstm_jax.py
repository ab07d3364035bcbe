"""A bidirectional LSTM over padded sequences with one kernel per gate: one scan for both directions.

What the inputs add to the gates is computed for all steps at once, so that a step of the scan has one small product.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from harness.spec import is_capturing
from workloads.layers_jax import Scope, dense, matmul
from workloads.librispeech_deepspeech.architecture import DIRECTIONS, INPUT_KERNELS, RECURRENT_KERNELS


def bidirectional_lstm(scope: Scope, x: jax.Array, mask: jax.Array) -> jax.Array:
    """``[B, T, in] -> [B, T, 2 * features]``: the states from the left, then those from the right, zero in paddings.

    ``mask [B, T, 1]`` is 0 where ``x`` is padding, at the end of a sequence.
    """
    turned = _turned_steps(mask)
    kernels = [_joined(scope[name], RECURRENT_KERNELS, "kernel") for name in DIRECTIONS]
    gates = [
        matmul(inputs, _joined(scope[name], INPUT_KERNELS, "kernel")) + _joined(scope[name], RECURRENT_KERNELS, "bias")
        for name, inputs in zip(DIRECTIONS, (x, _turn(x, turned)), strict=True)
    ]
    left, right = _states(jnp.stack(gates), jnp.stack(kernels))
    left, right = left * mask, _turn(right, turned) * mask
    if is_capturing():
        _record(scope, x, left, right)
    return jnp.concatenate([left, right], -1)


def _states(gates: jax.Array, kernels: jax.Array) -> jax.Array:
    """Hidden states ``[2, B, T, H]`` from a zero state: gates' inputs ``[2, B, T, 4 H]``, kernels ``[2, H, 4 H]``."""

    def step(state: tuple[jax.Array, jax.Array], added: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        cell, hidden = state
        gate = added + jnp.einsum("dbh,dhg->dbg", hidden, kernels)
        admit, forget, candidate, emit = jnp.split(gate, 4, axis=-1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(admit) * jnp.tanh(candidate)
        hidden = jax.nn.sigmoid(emit) * jnp.tanh(cell)
        return (cell, hidden), hidden

    start = jnp.zeros((*gates.shape[:2], kernels.shape[1]), gates.dtype)
    _, states = jax.lax.scan(step, (start, start), jnp.moveaxis(gates, 2, 0))
    return jnp.moveaxis(states, 0, 2)


def _joined(scope: Scope, names: tuple[str, ...], leaf: str) -> jax.Array:
    """The gates' tensors side by side, ``[..., 4 H]``."""
    return jnp.concatenate([scope[name].value(leaf) for name in names], axis=-1)


def _turned_steps(mask: jax.Array) -> jax.Array:
    """``[B, T, 1]``: the step that stands in each step's place when every sequence is read from its end to its start.

    Paddings stay where they are, so that turning twice changes nothing.
    """
    time = jnp.arange(mask.shape[1])[:, None]
    unpadded = (mask != 0).sum(1, keepdims=True)
    return jnp.where(time < unpadded, unpadded - 1 - time, time)


def _turn(x: jax.Array, turned: jax.Array) -> jax.Array:
    return jnp.take_along_axis(x, turned, axis=1, mode="promise_in_bounds")


def _record(scope: Scope, x: jax.Array, left: jax.Array, right: jax.Array) -> None:
    """Tells the harness what each kernel gives."""
    previous = (jnp.pad(left, ((0, 0), (1, 0), (0, 0)))[:, :-1], jnp.pad(right, ((0, 0), (0, 1), (0, 0)))[:, 1:])
    for name, states in zip(DIRECTIONS, previous, strict=True):
        for kernels, inputs in ((INPUT_KERNELS, x), (RECURRENT_KERNELS, states)):
            for kernel in kernels:
                dense(scope[name][kernel], inputs)
