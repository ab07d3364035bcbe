"""Names that newer versions of libraries have dropped and entries still use, and what they mean today.

Only names that are not there are added, and only while an entry that imports the library is active. What an entry then
gets is the library's own function under its present name, but for the few whose arguments have changed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from harness.compat.patching import Patches, has

_TREE = ("map", "flatten", "leaves", "unflatten", "structure", "transpose", "reduce", "all")

RENAMED: Mapping[str, Mapping[str, str]] = {
    "jax": {
        **{f"tree_{name}": f"jax.tree_util.tree_{name}" for name in _TREE},
        "tree_multimap": "jax.tree_util.tree_map",
    },
    "jax.tree_util": {"tree_multimap": "jax.tree_util.tree_map"},
    "jax.core": {"Jaxpr": "jax.extend.core.Jaxpr"},
    "jax.nn": {"normalize": "jax.nn.standardize"},
    "jax.random": {"KeyArray": "jax.Array", "PRNGKeyArray": "jax.Array", "shuffle": "jax.random.permutation"},
    "jax.numpy": {
        "DeviceArray": "jax.Array",
        "trapz": "jax.numpy.trapezoid",
        "in1d": "jax.numpy.isin",
        "row_stack": "jax.numpy.vstack",
        "product": "jax.numpy.prod",
        "cumproduct": "jax.numpy.cumprod",
        "sometrue": "jax.numpy.any",
        "alltrue": "jax.numpy.all",
        "round_": "jax.numpy.round",
        "fix": "jax.numpy.trunc",
        "Inf": "jax.numpy.inf",
        "PINF": "jax.numpy.inf",
        "NaN": "jax.numpy.nan",
    },
    "optax": {
        "additive_weight_decay": "optax.add_decayed_weights",
        "cast_tree": "optax.tree.cast",
        "safe_int32_increment": "optax.safe_increment",
        "global_norm": "optax.tree.norm",
        "bias_correction": "optax.tree_utils.tree_bias_correction",
        "update_moment": "optax.tree_utils.tree_update_moment",
        "update_infinity_moment": "optax.tree_utils.tree_update_infinity_moment",
        "update_moment_per_elem_norm": "optax.tree_utils.tree_update_moment_per_elem_norm",
    },
    "numpy": {
        "float": "builtins.float",
        "int": "builtins.int",
        "object": "builtins.object",
        "float_": "numpy.float64",
        "complex_": "numpy.complex128",
        "Inf": "numpy.inf",
        "infty": "numpy.inf",
        "PINF": "numpy.inf",
        "NaN": "numpy.nan",
        "alltrue": "numpy.all",
        "sometrue": "numpy.any",
        "product": "numpy.prod",
        "cumproduct": "numpy.cumprod",
        "row_stack": "numpy.vstack",
        "trapz": "numpy.trapezoid",
        "in1d": "numpy.isin",
        "round_": "numpy.round",
    },
}
"""Module -> dropped name -> the dotted name of what it means."""

MOVED_MODULES: Mapping[str, str] = {
    "jax.linear_util": "jax.extend.linear_util",
    "jax.lib.xla_bridge": "jax.extend.backend",
    "jax.experimental.optimizers": "jax.example_libraries.optimizers",
    "jax.experimental.stax": "jax.example_libraries.stax",
}
"""Dropped module -> the one that took its place."""

_SENTINEL = object()


def restore(patches: Patches, uses: frozenset[str]) -> None:
    """Adds what is missing of the libraries that an entry uses. ``uses``: its top-level imports."""
    for module_name, names in RENAMED.items():
        if module_name.partition(".")[0] not in uses:
            continue
        module = importlib.import_module(module_name)
        for old, meaning in names.items():
            if not has(module, old) and (found := _lookup(meaning, _SENTINEL)) is not _SENTINEL:
                patches.set(module, old, found)
    if "jax" in uses or "optax" in uses:
        _restore_jax(patches)


def _restore_jax(patches: Patches) -> None:
    import jax
    import jax.numpy as jnp

    for old, new in MOVED_MODULES.items():
        found = _lookup(new, None)
        if found is not None and _lookup(old, None) is None:
            patches.module(old, vars(found))
    patches.module("jax.config", {"config": jax.config})
    patches.add(
        jax, "device_put_replicated", lambda tree, devices: _stacked(jax.tree.map(lambda x: [x] * len(devices), tree))
    )
    patches.add(jax, "device_put_sharded", lambda shards, devices: jax.tree.map(lambda *x: jnp.stack(x), *shards))
    if "a_min" not in inspect.signature(jnp.clip).parameters:
        patches.set(jnp, "clip", _clip(jnp.clip))
    patches.set(jax, "pmap", _pmap(jax.pmap) if has(jax, "pmap") else _pmap(one_device_pmap))


def _lookup(dotted: str, default: Any) -> Any:
    """The object that a dotted name means, importing modules on the way."""
    first, *rest = dotted.split(".")
    found: Any = importlib.import_module(first)
    for number, part in enumerate(rest):
        if not has(found, part):
            try:
                importlib.import_module(".".join([first, *rest[: number + 1]]))
            except ImportError:
                return default
        if not has(found, part):
            return default
        found = getattr(found, part)
    return found


def _stacked(tree: Any) -> Any:
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda copies: jnp.stack(copies), tree, is_leaf=lambda node: isinstance(node, list))


def _clip(clip: Callable[..., Any]) -> Callable[..., Any]:
    """``clip(a, a_min, a_max)``, by position or by name, beside the present ``clip(arr, min, max)``."""

    @functools.wraps(clip)
    def clip_with_old_names(*args: Any, a_min: Any = None, a_max: Any = None, **named: Any) -> Any:
        if "a" in named:
            args = (named.pop("a"), *args)
        named.pop("out", None)
        if a_min is not None:
            named["min"] = a_min
        if a_max is not None:
            named["max"] = a_max
        return clip(*args, **named)

    return clip_with_old_names


def _pmap(pmap: Callable[..., Any]) -> Callable[..., Any]:
    """pmap which takes missing ``in_axes`` of the last arguments for None, as callers that forgot them mean it."""

    @functools.wraps(pmap)
    def pmap_with_all_axes(fun: Callable[..., Any], *args: Any, **named: Any) -> Any:
        axes = named.get("in_axes")
        if isinstance(axes, tuple):
            parameters = inspect.signature(fun).parameters.values()
            required = sum(
                1 for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            )
            named["in_axes"] = axes + (None,) * max(0, required - len(axes))
        return pmap(fun, *args, **named)

    return pmap_with_all_axes


def one_device_pmap(
    fun: Callable[..., Any],
    axis_name: Any = "batch",
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: Any = (),
    donate_argnums: Any = (),
    **_: Any,
) -> Callable[..., Any]:
    """pmap by vmap over the device axis and jit, for a jax that has no pmap any more."""
    import jax

    static = (
        {static_broadcasted_argnums} if isinstance(static_broadcasted_argnums, int) else set(static_broadcasted_argnums)
    )

    def mapped(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
        dynamic = [i for i in range(len(args)) if i not in static]

        def of_dynamic(*values: Any) -> Any:
            given = dict(zip(dynamic, values, strict=True))
            return fun(*(given.get(i, args[i]) for i in range(len(args))))

        batched = jax.vmap(of_dynamic, tuple(axes[i] for i in dynamic), out_axes, axis_name=axis_name)
        return batched(*(args[i] for i in dynamic))

    return jax.jit(mapped, static_argnums=tuple(static), donate_argnums=donate_argnums)
