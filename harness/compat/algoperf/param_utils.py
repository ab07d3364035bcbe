"""``algoperf.param_utils``: shapes of parameters, and their types told from names, as AlgoPerf tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.interface import ParameterType, ShapeTuple

Rules = Sequence[tuple[tuple[str, ...], ParameterType]]

_BATCH_NORM: Rules = (
    (("weight", "scale"), ParameterType.BATCH_NORM_SCALE),
    (("bias",), ParameterType.BATCH_NORM_BIAS),
)
_LAYER_NORM: Rules = (
    (("weight", "scale"), ParameterType.LAYER_NORM_SCALE),
    (("bias",), ParameterType.LAYER_NORM_BIAS),
)
_CONVOLUTION: Rules = ((("bias",), ParameterType.BIAS), (("",), ParameterType.CONV_WEIGHT))
_PLAIN: Rules = ((("bias",), ParameterType.BIAS), (("",), ParameterType.WEIGHT))
_ATTENTION: Rules = (
    (("bias",), ParameterType.ATTENTION_BIAS),
    (("in_proj",), ParameterType.ATTENTION_QKV),
    (("kv_proj",), ParameterType.ATTENTION_KV),
    (("k_proj", "key"), ParameterType.ATTENTION_K),
    (("q_proj", "query"), ParameterType.ATTENTION_Q),
    (("v_proj", "value"), ParameterType.ATTENTION_V),
    (("out",), ParameterType.ATTENTION_OUT),
    (("scale",), ParameterType.WEIGHT),
)


def pytorch_param_shapes(model: Any) -> dict[str, ShapeTuple]:
    return {name: ShapeTuple(value.shape) for name, value in model.named_parameters()}


def pytorch_param_types(param_shapes: Mapping[str, ShapeTuple]) -> dict[str, ParameterType]:
    """
    Raises:
      ValueError: a name belongs to a normalisation or an attention but says nothing that is known.
    """
    return {name: _torch_type(name) for name in param_shapes}


def _torch_type(name: str) -> ParameterType:
    if "embed" in name and "weight" in name and not any(part in name for part in ("bn", "norm", "ln", "conv")):
        return ParameterType.EMBEDDING
    kinds = ((("bn",), _BATCH_NORM), (("norm", "ln"), _LAYER_NORM), (("conv",), _CONVOLUTION))
    return _first(name, next((r for parts, r in kinds if any(p in name for p in parts)), _torch_rest(name)), name)


def _torch_rest(name: str) -> Rules:
    return _ATTENTION if "attn" in name or "attention" in name else _PLAIN


def jax_param_shapes(params: Any) -> Any:
    import jax

    return jax.tree.map(lambda x: ShapeTuple(x.shape), params)


def jax_param_types(param_shapes: Mapping[str, Any], parent_name: str = "") -> dict[str, Any]:
    """A tree of types like the tree of shapes; names come out in lower case, as AlgoPerf's do.

    Raises:
      ValueError: a name belongs to a normalisation or an attention but says nothing that is known.
    """
    types: dict[str, Any] = {}
    for key, value in param_shapes.items():
        name = key.lower()
        if isinstance(value, Mapping):
            types[name] = jax_param_types(value, f"{parent_name}/{name}")
        else:
            types[name] = _jax_type(parent_name, name)
    return types


def _jax_type(parent: str, name: str) -> ParameterType:
    where = f"{parent}/{name}"
    kinds = ((("batchnorm", "bn"), _BATCH_NORM), (("layernorm", "ln"), _LAYER_NORM), (("conv",), _CONVOLUTION))
    for parts, rules in kinds:
        if any(part in parent for part in parts):
            return _first(name, rules, where)
    if "embedding" in name or ("embedding" in parent and name == "kernel"):
        return ParameterType.EMBEDDING
    if "attention" not in parent:
        return _first(name, _PLAIN, where)
    return ParameterType.ATTENTION_BIAS if name == "bias" else _first(where, _ATTENTION, where)


def _first(text: str, rules: Rules, where: str) -> ParameterType:
    for parts, found in rules:
        if any(part in text for part in parts):
            return found
    raise ValueError(f"the name of parameter {where} says nothing about its type")
