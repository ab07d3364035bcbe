"""librispeech_deepspeech: a recurrent network transcribes speech; LibriSpeech at full scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from harness.spec import Parameter, Scale, Settings, Statistic, Target, Variant
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.speech.base import (
    FULL_DATA,
    FULL_MODEL,
    FULL_SPLITS,
    MINI_DATA,
    MINI_MODEL,
    MINI_SPLITS,
    SpeechWorkload,
)

_SWITCHES = {"activation": "relu", "residual": True, "norm": "batch"}


class LibrispeechDeepspeech(SpeechWorkload):
    """Strided convolutions, bidirectional LSTMs, Dense layers; connectionist temporal classification."""

    name = "librispeech_deepspeech"
    version = 2
    summary = "speech to text, bidirectional LSTMs"
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={**MINI_MODEL, **_SWITCHES, "width": 64, "recurrent": 3, "feed_forward": 1},
            data=MINI_DATA,
            batch_size=16,
            eval_batch_size=50,
            step_hint=1_300,
            max_runtime_sec=80.0,
            eval_period_sec=3.6,
            eval_period_steps=50,
            splits=MINI_SPLITS,
            dropout_rate=0.1,
        ),
        "full": Settings(
            model={**FULL_MODEL, **_SWITCHES, "width": 512, "recurrent": 6, "feed_forward": 3},
            data=FULL_DATA,
            batch_size=256,
            eval_batch_size=256,
            step_hint=38_400,
            max_runtime_sec=36_949.0,
            eval_period_sec=1_447.0,
            splits=FULL_SPLITS,
            target=Target(0.119936, 0.074143),
            dropout_rate=0.1,
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "tanh": Variant("tanh in place of ReLU", {"activation": "tanh"}, Target(0.150883, 0.098613)),
        "no_resnet": Variant("no layer adds to its input", {"residual": False}, Target(0.131564, 0.079297)),
        "norm_and_spec_aug": Variant(
            "layer norm in place of batch norm and none at the end, more of the input hidden",
            {"norm": "layer", "masking": "strong"},
            Target(0.14342, 0.090976),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        return list(Architecture.of(self.model_config).parameters())

    def statistics(self) -> Sequence[Statistic]:
        return list(Architecture.of(self.model_config).statistics())


WORKLOAD = LibrispeechDeepspeech
