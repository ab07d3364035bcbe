"""librispeech_conformer: what was said, in letters (full: in SentencePiece's units), by a conformer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from harness.spec import Parameter, ParameterType, Scale, Settings, Statistic, Target, Variant
from workloads.declared import attention, dense
from workloads.init_laws import xavier_uniform, zeros
from workloads.librispeech_conformer.architecture import Architecture
from workloads.speech import declared
from workloads.speech.base import (
    FULL_DATA,
    FULL_MODEL,
    FULL_SPLITS,
    MINI_DATA,
    MINI_MODEL,
    SpeechWorkload,
)

_SWITCHES = {"activation": "silu", "post_layer_norm": True, "attention_temperature": 1.0, "expansion": 4, "window": 5}


class LibrispeechConformer(SpeechWorkload):
    """Strided convolutions, then blocks of attention and convolution between two half feed-forward steps."""

    name = "librispeech_conformer"
    version = 3
    summary = "speech to text, conformer"
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={**MINI_MODEL, **_SWITCHES, "width": 64, "heads": 4, "layers": 2},
            data=MINI_DATA,
            batch_size=64,  # with 16 Nesterov ends within three words of NAdamW
            eval_batch_size=80,
            step_hint=320,
            max_runtime_sec=240.0,
            eval_period_sec=4.0,
            eval_period_steps=16,
            splits={"train": 600, "eval_train": 320, "validation": 320, "test": 320},
            dropout_rate=0.1,
        ),
        "full": Settings(
            model={**FULL_MODEL, **_SWITCHES, "width": 512, "heads": 8, "layers": 4},
            data=FULL_DATA,
            batch_size=256,
            eval_batch_size=256,
            step_hint=76_000,
            max_runtime_sec=43_680.0,
            eval_period_sec=1_747.0,
            splits=FULL_SPLITS,
            target=Target(0.085884, 0.052981),
            dropout_rate=0.1,
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "attention_temperature": Variant(
            "what attention finds is multiplied by 1.6", {"attention_temperature": 1.6}, Target(0.109977, 0.068065)
        ),
        "layernorm": Variant(
            "no layer normalisation at the end of a block", {"post_layer_norm": False}, Target(0.09731, 0.05996)
        ),
        "gelu": Variant("GELU (tanh form) in place of SiLU", {"activation": "gelu"}, Target(0.094114, 0.056629)),
    }

    def parameters(self) -> Sequence[Parameter]:
        a = Architecture.of(self.model_config)
        parameters = list(declared.subsample("Subsample_0", a.front_end.bins, a.width))
        for name in a.blocks:
            parameters += _block(name, a)
        parameters += declared.layer_norm("LayerNorm_0", a.width)
        return [*parameters, *dense("Dense_0", a.width, a.classes, xavier_uniform, is_output=True)]

    def statistics(self) -> Sequence[Statistic]:
        a = Architecture.of(self.model_config)
        names = [f"{name}.Convolution_0.BatchNorm_0" for name in a.blocks]
        return [statistic for name in names for statistic in declared.running(name, a.width)]


def _block(name: str, a: Architecture) -> Iterator[Parameter]:
    yield from _feed_forward(f"{name}.FeedForward_0", a)
    yield from declared.layer_norm(f"{name}.SelfAttention_0.LayerNorm_0", a.width)
    found = f"{name}.SelfAttention_0.Attention_0"
    yield from attention(found, a.width, a.heads, bias=True)
    yield Parameter(f"{found}.QueryScale_0.scale", (a.width // a.heads,), ParameterType.WEIGHT, zeros)
    yield from _convolution(f"{name}.Convolution_0", a)
    yield from _feed_forward(f"{name}.FeedForward_1", a)
    if a.post_layer_norm:
        yield from declared.layer_norm(f"{name}.LayerNorm_0", a.width)


def _feed_forward(name: str, a: Architecture) -> Iterator[Parameter]:
    yield from declared.layer_norm(f"{name}.LayerNorm_0", a.width)
    yield from dense(f"{name}.Dense_0", a.width, a.expansion * a.width, xavier_uniform)
    yield from dense(f"{name}.Dense_1", a.expansion * a.width, a.width, xavier_uniform)


def _convolution(name: str, a: Architecture) -> Iterator[Parameter]:
    yield from declared.layer_norm(f"{name}.LayerNorm_0", a.width)
    for index in (0, 1):
        yield from dense(f"{name}.Dense_{index}", a.width, a.width, xavier_uniform)
    kernel = (a.window, 1, a.width)
    yield Parameter(f"{name}.Conv_0.kernel", kernel, ParameterType.CONV_WEIGHT, xavier_uniform)
    yield from declared.batch_norm(f"{name}.BatchNorm_0", a.width)
    yield from dense(f"{name}.Dense_2", a.width, a.width, xavier_uniform)


WORKLOAD = LibrispeechConformer
