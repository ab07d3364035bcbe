"""The translator in torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.attention_torch import MultiHeadAttention, additive_mask, attend
from workloads.layers_torch import ACTIVATIONS, Dense, Embed, LayerNorm
from workloads.wmt.architecture import LAYER_NORM_EPS, PAD, attention_scale, position_table
from workloads.wmt.beam_torch import Cache, beam_search

Attend = Callable[[MultiHeadAttention, Tensor], Tensor]
"""Attention of queries, given a block's attention layer."""


class Model(nn.Module):
    """Source ``inputs [B, S]`` and ``targets [B, T]`` -> logits ``[B, T, vocabulary]`` of the targets.

    Rows of several pairs carry ``*_position`` and ``*_segmentation``; see ``packing``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.scale = attention_scale(config)
        self.add_module("Embed_0", Embed(config["vocabulary"], config["features"]))
        for name in self._names("Encoder"):
            self.add_module(name, EncoderBlock(config))
        if config["pre_ln"]:
            self.add_module("LayerNorm_0", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
        for name in self._names("Decoder"):
            self.add_module(name, DecoderBlock(config))
        if config["pre_ln"]:
            self.add_module("LayerNorm_1", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
        positions = torch.tensor(position_table(config["length"], config["features"]))
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        targets = batch["targets"]
        source, target = _segments(batch, "inputs"), _segments(batch, "targets")
        memory = self._encode(batch, source, dropout_rate)
        shifted = F.pad(targets[:, :-1], (1, 0), value=PAD) * (target == F.pad(target[:, :-1], (1, 0)))
        causal = torch.ones(targets.shape[1:] * 2, dtype=torch.bool, device=targets.device).tril()
        own = additive_mask(_same(target, target) & causal, memory.dtype)
        other = additive_mask(_same(target, source), memory.dtype)
        x = self._embedded(shifted, batch.get("targets_position"), dropout_rate)
        for block in self._blocks("Decoder"):
            x = block(
                x,
                lambda attention, y: attention(y, mask=own, scale=self.scale),
                lambda attention, y: attention(y, memory, other, self.scale),
                dropout_rate,
            )
        return self._logits(x)

    @torch.no_grad()
    def decode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Translations of ``inputs [B, S]`` by beam search, ``[B, length]``; see ``beam_torch.beam_search``."""
        config, source = self.config, _segments(batch, "inputs")
        memory = self._encode(batch, source, 0.0)
        mask = additive_mask((source > 0)[:, None, None], memory.dtype)
        blocks = list(self._blocks("Decoder"))
        # The beams of a sentence are queries beside each other: what they look at is there once.
        others = [(b.Attention_1.key(memory), b.Attention_1.value(memory)) for b in blocks]
        sentences, beams, length = len(memory), config["beams"], config["length"]
        empty = memory.new_zeros(sentences * beams, 2, 0, config["heads"], config["features"] // config["heads"])

        def step(cache: Cache, tokens: Tensor, position: int) -> tuple[Tensor, Cache]:
            grown: list[Tensor] = []

            def own(attention: MultiHeadAttention, y: Tensor) -> Tensor:
                one = y.flatten(0, 1)[:, None]
                new = torch.stack((attention.key(one), attention.value(one)), 1)
                grown.append(torch.cat((cache[len(grown)], new), 2))
                key, value = grown[-1].unbind(1)
                return attention.out(attend(attention.query(one), key, value, scale=self.scale)).view_as(y)

            def other(attention: MultiHeadAttention, y: Tensor) -> Tensor:
                key, value = others[len(grown) - 1]
                return attention.out(attend(attention.query(y), key, value, mask, self.scale))

            x = self.Embed_0(tokens) + self.positions[position]
            for block in blocks:
                x = block(x, own, other, 0.0)
            return self._logits(x), tuple(grown)

        return beam_search(step, (empty,) * len(blocks), sentences, beams, length, config["length_penalty"])

    def _encode(self, batch: Mapping[str, Tensor], segments: Tensor, dropout_rate: float) -> Tensor:
        x = self._embedded(batch["inputs"], batch.get("inputs_position"), dropout_rate)
        mask = additive_mask(_same(segments, segments), x.dtype)
        for block in self._blocks("Encoder"):
            x = block(x, lambda attention, y: attention(y, mask=mask, scale=self.scale), dropout_rate)
        return self.LayerNorm_0(x) if self.config["pre_ln"] else x

    def _embedded(self, ids: Tensor, positions: Tensor | None, dropout_rate: float) -> Tensor:
        waves = self.positions[: ids.shape[1]] if positions is None else self.positions[positions]
        return _dropout(self.Embed_0(ids) + waves, dropout_rate, self.training)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.LayerNorm_1(x) if self.config["pre_ln"] else x
        return F.linear(x * x.shape[-1] ** -0.5, self.Embed_0.weight)

    def _names(self, stack: str) -> list[str]:
        return [f"{stack}Block_{i}" for i in range(self.config["layers"])]

    def _blocks(self, stack: str) -> Iterator[Any]:
        return map(self.get_submodule, self._names(stack))


class Block(nn.Module):
    """Residual paths with layer normalisation before what they go round (pre-LN) or after the sum (post-LN)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.pre_ln = config["pre_ln"]

    def around(self, norm: nn.Module, x: Tensor, inner: Callable[[Tensor], Tensor], dropout_rate: float) -> Tensor:
        y = _dropout(inner(norm(x) if self.pre_ln else x), dropout_rate, self.training)
        return x + y if self.pre_ln else norm(x + y)


class EncoderBlock(Block):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.add_module("LayerNorm_0", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
        self.add_module("Attention_0", MultiHeadAttention(config["features"], config["heads"], bias=False))
        self.add_module("LayerNorm_1", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
        self.add_module("MLP_0", MLP(config))

    def forward(self, x: Tensor, own: Attend, dropout_rate: float) -> Tensor:
        x = self.around(self.LayerNorm_0, x, lambda y: own(self.Attention_0, y), dropout_rate)
        return self.around(self.LayerNorm_1, x, lambda y: self.MLP_0(y, dropout_rate), dropout_rate)


class DecoderBlock(Block):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        for i in range(2):
            self.add_module(f"LayerNorm_{i}", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
            self.add_module(f"Attention_{i}", MultiHeadAttention(config["features"], config["heads"], bias=False))
        self.add_module("LayerNorm_2", LayerNorm(config["features"], eps=LAYER_NORM_EPS))
        self.add_module("MLP_0", MLP(config))

    def forward(self, x: Tensor, own: Attend, other: Attend, dropout_rate: float) -> Tensor:
        """``own`` attends over the translation so far, ``other`` over the source."""
        x = self.around(self.LayerNorm_0, x, lambda y: own(self.Attention_0, y), dropout_rate)
        x = self.around(self.LayerNorm_1, x, lambda y: other(self.Attention_1, y), dropout_rate)
        return self.around(self.LayerNorm_2, x, lambda y: self.MLP_0(y, dropout_rate), dropout_rate)


class MLP(nn.Module):
    """Dense, activation, times another Dense where gated, dropout, Dense."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config["activation"]]
        self.gated = config["gated"]
        for i in range(1 + self.gated):
            self.add_module(f"Dense_{i}", Dense(config["features"], config["hidden"]))
        self.add_module(f"Dense_{1 + self.gated}", Dense(config["hidden"], config["features"]))

    def forward(self, x: Tensor, dropout_rate: float) -> Tensor:
        hidden = self.activation(self.Dense_0(x))
        if not self.gated:
            return self.Dense_1(_dropout(hidden, dropout_rate, self.training))
        return self.Dense_2(_dropout(hidden * self.Dense_1(x), dropout_rate, self.training))


def _dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return F.dropout(x, rate, training) if rate else x


def _segments(batch: Mapping[str, Tensor], name: str) -> Tensor:
    """Number of the pair to which each token belongs, ``[B, T]``; 0 for padding."""
    given = batch.get(f"{name}_segmentation")
    return (batch[name] != PAD).long() if given is None else given


def _same(queries: Tensor, keys: Tensor) -> Tensor:
    """Whether a query and a key are of one pair, ``[B, 1, T, S]``; padding sees padding."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]
