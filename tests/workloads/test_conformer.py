"""The conformer against independent readings of its parts; padding that changes nothing; evaluation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.frameworks import load
from harness.spec import EvalBatch, ForwardPassMode
from workloads.librispeech_conformer.architecture import Architecture, positions
from workloads.librispeech_conformer.model_torch import Attention, QueryScale
from workloads.librispeech_conformer.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)


@pytest.fixture(scope="module")
def workload():
    return WORKLOAD().bind(load("torch"))


@pytest.fixture(scope="module")
def stored(workload):
    return {name: np.array(array[:4]) for name, array in workload.load_split("train").items()}


def test_positions_are_sines_then_cosines_of_growing_wave_length():
    found = positions(50, 16)
    for place, wave in ((0, 0), (7, 3), (49, 7)):
        angle = place / 10_000 ** (wave / 7)
        assert found[place, wave] == pytest.approx(math.sin(angle))
        assert found[place, 8 + wave] == pytest.approx(math.cos(angle))


def test_attention_is_torchs_own_with_scaled_queries_and_output(workload):
    """With a query scale of 0 nothing is scaled; the temperature multiplies what is found, before the projection."""
    a = Architecture.of({**workload.model_config, "attention_temperature": 1.6})
    torch.manual_seed(0)
    ours, own = Attention(a).double(), torch.nn.MultiheadAttention(a.width, a.heads, batch_first=True).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(0, 0.3)
        ours.QueryScale_0.weight.zero_()
        projections = [getattr(ours, name) for name in ("query", "key", "value")]
        own.in_proj_weight.copy_(torch.cat([p.weight.reshape(a.width, a.width).T for p in projections]))
        own.in_proj_bias.copy_(torch.cat([p.bias.flatten() for p in projections]))
        own.out_proj.weight.copy_(1.6 * ours.out.weight.reshape(a.width, a.width).T)
        own.out_proj.bias.copy_(ours.out.bias)
        x = torch.randn(3, 9, a.width, dtype=torch.float64)
        padding = torch.arange(9) >= torch.tensor([[9], [5], [7]])
        keys = torch.zeros(3, 1, 1, 9, dtype=torch.float64).masked_fill(padding[:, None, None], -1e30)
        expected, _ = own(x, x, x, key_padding_mask=padding, need_weights=False)
        torch.testing.assert_close(ours(x, keys), expected, rtol=1e-9, atol=1e-9)


def test_query_scale_is_softplus_over_its_value_at_zero():
    layer = QueryScale(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.0, 2.0, -3.0]))
        found = layer(torch.ones(1, 3))[0].tolist()
    assert found == pytest.approx([math.log1p(math.exp(s)) / math.log(2) for s in (0.0, 2.0, -3.0)], rel=1e-6)


def logits_of(workload, batch):
    params, state = workload.init_model_fn(KEY)
    tensors = workload._bound.to_framework(batch)
    return workload.model_fn(params, tensors, state, ForwardPassMode.EVAL, KEY, False)[0]


def test_an_utterance_is_heard_alike_alone_and_among_longer_ones(workload, stored):
    logits, paddings = logits_of(workload, workload.collate(stored))
    shortest = int(np.argmin(stored["lengths"]))
    alone = {name: array[shortest : shortest + 1] for name, array in stored.items()}
    length = int(alone["lengths"][0])
    alone["inputs"] = alone["inputs"].copy()
    alone["inputs"][:, length:] = 9_000  # what lies in the padding is not heard
    found, found_paddings = logits_of(workload, workload.collate(alone))
    real = int((paddings[shortest] == 0).sum())
    assert real < paddings.shape[1] and torch.equal(found_paddings[0], paddings[shortest])
    torch.testing.assert_close(found[0, :real], logits[shortest, :real], rtol=1e-4, atol=1e-4)


def test_evaluation_counts_words_and_averages_the_loss_over_tokens(workload, stored):
    batch = {**workload.collate(stored), "weights": np.array([1, 1, 1, 0], np.float32)}
    targets, _ = batch["targets"]
    frames = np.stack([targets, np.zeros_like(targets)], axis=-1).reshape(4, -1)  # a blank after every letter
    frames[0, 0] = frames[0, 0] % 20 + 1  # one wrong letter
    frames[3] = 1  # of weight 0
    logits = np.eye(21, dtype=np.float32)[frames]
    evaluated = EvalBatch(batch, 30.0, 12.0, lambda: (logits, np.zeros(frames.shape)))
    words = sum(len(workload.decode(row[row > 0]).split()) for row in targets[:3])
    assert workload.evaluate([evaluated]) == pytest.approx({"wer": 1 / words, "loss": 2.5})
