"""wmt: translation with an encoder-decoder transformer; WMT German to English at full scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from harness.spec import (
    EvalBatch,
    LossType,
    Metric,
    Parameter,
    ParameterType,
    Scale,
    Settings,
    Target,
    Variant,
    WorkloadError,
)
from workloads.cache import root
from workloads.declared import attention, dense, layer_norm
from workloads.generated import SPLITS, GeneratedWorkload
from workloads.init_laws import normal, xavier_uniform
from workloads.real_data import data_folder
from workloads.wmt.architecture import PAD

_SWITCHES = {
    "pre_ln": True,
    "attention_temperature": 1.0,
    "activation": "relu",
    "gated": False,
    "beams": 4,
    "length_penalty": 0.6,
}
_MLP_BIAS = normal(1e-6)


class Wmt(GeneratedWorkload):
    """Pre-LN encoder and decoder, one table for all embeddings and the output; BLEU of a beam search."""

    name = "wmt"
    version = 2
    summary = "translation, encoder-decoder transformer"
    loss_type = LossType.SOFTMAX_CROSS_ENTROPY
    metric = Metric("bleu", "maximize")
    settings: ClassVar[Mapping[Scale, Settings]] = {
        "mini": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 512,
                "features": 64,
                "heads": 4,
                "layers": 2,
                "hidden": 128,
                "length": 24,
            },
            data={"seed": 20260108, "source_length": 20, "target_length": 24},
            batch_size=48,
            eval_batch_size=100,
            step_hint=960,
            max_runtime_sec=100.0,
            eval_period_sec=5.0,
            eval_period_steps=60,
            splits={"train": 3_000, "eval_train": 200, "validation": 200, "test": 200},
            dropout_rate=0.1,
        ),
        "full": Settings(
            model={
                **_SWITCHES,
                "vocabulary": 32_000,
                "features": 1024,
                "heads": 16,
                "layers": 6,
                "hidden": 1024,
                "length": 256,
            },
            data={"length": 256},
            batch_size=128,
            eval_batch_size=128,
            step_hint=120_000,
            max_runtime_sec=16_114.0,
            eval_period_sec=644.0,
            splits={"train": 5_906_184, "eval_train": 3_072, "validation": 3_000, "test": 3_003},
            target=Target(30.8491, 30.7219),
            dropout_rate=0.1,
        ),
    }
    variants: ClassVar[Mapping[str, Variant]] = {
        "post_ln": Variant(
            "layer normalisation after each residual sum, none at the ends of the stacks",
            {"pre_ln": False},
            Target(30.0779, 29.8982),
        ),
        "attention_temp": Variant(
            "queries four times as long in every attention", {"attention_temperature": 4.0}, Target(29.3379, 29.4143)
        ),
        "glu_tanh": Variant(
            "gated perceptrons with tanh in place of ReLU",
            {"activation": "tanh", "gated": True},
            Target(29.5779, 29.0515),
        ),
    }

    def parameters(self) -> Sequence[Parameter]:
        config = self.model_config
        features, blocks = config["features"], range(config["layers"])
        # The table is tied: it makes the logits too.
        table = (config["vocabulary"], features)
        declared = [Parameter("Embed_0.embedding", table, ParameterType.EMBEDDING, normal(1.0), is_output=True)]
        for stack, attentions in (("Encoder", 1), ("Decoder", 2)):
            for block in (f"{stack}Block_{i}" for i in blocks):
                for i in range(attentions):
                    declared += layer_norm(f"{block}.LayerNorm_{i}", features)
                    declared += attention(f"{block}.Attention_{i}", features, config["heads"])
                declared += layer_norm(f"{block}.LayerNorm_{attentions}", features)
                declared += self._mlp(f"{block}.MLP_0")
            if config["pre_ln"]:
                declared += layer_norm(f"LayerNorm_{attentions - 1}", features)
        return declared

    def _mlp(self, name: str) -> Iterator[Parameter]:
        features, hidden, into = self.model_config["features"], self.model_config["hidden"], 1
        if self.model_config["gated"]:
            into = 2
        for i in range(into):
            yield from dense(f"{name}.Dense_{i}", features, hidden, xavier_uniform, _MLP_BIAS)
        yield from dense(f"{name}.Dense_{into}", hidden, features, xavier_uniform, _MLP_BIAS)

    def generate(self) -> dict[str, dict[str, np.ndarray]]:
        from workloads.wmt.generator import generate

        settings = self.base_settings
        return generate(settings.data, settings.model["vocabulary"], {s: settings.splits[s] for s in SPLITS})

    def load_split(self, split: str) -> Mapping[str, np.ndarray]:
        """Pairs, one per row; at full scale the training rows hold several, see ``packing``."""
        arrays = super().load_split(split)
        if self.scale == "full" and split == "train":
            from workloads.wmt.reader import packed_rows

            return packed_rows(self._folder, self.base_settings.data["length"])
        return arrays

    @property
    def _folder(self) -> Path:
        return data_folder(self.name, root(self.data_dir))

    def examples(self, split: str) -> Mapping[str, np.ndarray]:
        if self.resampling and self.scale == "full":
            raise WorkloadError(
                "wmt at full scale trains on rows of several pairs, which resampling plans cannot split"
            )
        return super().examples(split)

    def collate(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Adds the weights of the targets' tokens ``[B, T]`` and, at full scale, positions and segments."""
        from workloads.wmt.packing import annotated

        real = (batch["targets"] != PAD).astype(np.float32)
        weights = real * batch["weights"][:, None] if "weights" in batch else real
        return (annotated(batch) if self.scale == "full" else dict(batch)) | {"weights": weights}

    def evaluate(self, batches: Iterable[EvalBatch]) -> dict[str, float]:
        """``bleu``, 0 to 100, of beam search, and the mean cross entropy of a token as ``loss``."""
        from workloads.wmt.metric import corpus_bleu, until_end

        translations: list[list[int]] = []
        references: list[list[int]] = []

        def kept() -> Iterator[EvalBatch]:
            for evaluated in batches:
                real = evaluated.batch["weights"].any(axis=1)
                translations.extend(until_end(evaluated.fetch_decoded()[real]))
                references.extend(until_end(np.asarray(evaluated.batch["targets"])[real]))
                yield evaluated

        metrics = super().evaluate(kept())
        texts = (self._as_text(sentences) for sentences in (translations, references))
        return {"bleu": corpus_bleu(*texts, tokenize="13a" if self.scale == "full" else "none"), **metrics}

    def _as_text(self, sentences: list[list[int]]) -> list[str]:
        if self.scale == "full":
            from workloads.wmt.reader import decoded_text

            return decoded_text(self._folder, sentences)
        return [" ".join(map(str, tokens)) for tokens in sentences]


WORKLOAD = Wmt
