"""The array functions that torch and jax share: what a component may use that is written once for both.

``namespace(framework)`` is called ``xp`` by convention. It has the functions ``NAMES`` with numpy's meaning for the
arguments that both frameworks take (positional axes, no keywords), and beyond them:

* ``sometimes(condition, compute, otherwise)``: ``compute()`` where the condition holds, else ``otherwise`` (nested
  dicts, lists and tuples of arrays of the same shapes); only the chosen one is computed.
* ``identity(n, like)``: an identity matrix of the kind of another array.
* ``counter(like)``: the number 0 as a whole-number array on the device of another array.

Python scalars are raised to powers, never given to functions: ``beta ** step`` and ``x ** 0.5`` work in both.
"""

from __future__ import annotations

import functools
import importlib
from types import SimpleNamespace

from harness.spec import Framework

NAMES = (
    "abs",
    "argsort",
    "clip",
    "concatenate",
    "cumsum",
    "diag",
    "linalg",
    "maximum",
    "mean",
    "minimum",
    "ones_like",
    "sign",
    "sqrt",
    "square",
    "stack",
    "sum",
    "where",
    "zeros_like",
)


@functools.cache
def namespace(framework: Framework) -> SimpleNamespace:
    """The shared functions of a framework, which is imported."""
    module = importlib.import_module({"torch": "torch", "jax": "jax.numpy"}[framework])
    return SimpleNamespace(**{name: getattr(module, name) for name in NAMES}, **_OTHERS[framework]())


def _torch_functions() -> dict:
    import torch

    return {
        "sometimes": lambda condition, compute, otherwise: compute() if condition else otherwise,
        "identity": lambda n, like: torch.eye(n, dtype=like.dtype, device=like.device),
        "counter": lambda like: torch.zeros((), dtype=torch.int64, device=like.device),
    }


def _jax_functions() -> dict:
    import jax
    import jax.numpy as jnp

    return {
        "sometimes": lambda condition, compute, otherwise: jax.lax.cond(condition, compute, lambda: otherwise),
        "identity": lambda n, like: jnp.eye(n, dtype=like.dtype),
        "counter": lambda like: jnp.zeros((), jnp.int32),
    }


_OTHERS = {"torch": _torch_functions, "jax": _jax_functions}
