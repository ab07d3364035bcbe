"""Metrics by hand, and the numbers of AlgoPerf 1.0 at full scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.data import evaluation_batches
from harness.frameworks import load
from harness.spec import EvalBatch, ParameterType
from harness.workloads import make_workload

FULL = {  # step hint, budget in s, evaluation period in s, validation and test target: AlgoPerf 1.0
    "mnist": (7_813, 60, 10, 0.97, 0.97),
    "criteo1tb": (10_666, 8_915, 356, 0.123735, 0.126041),
    "criteo1tb_layernorm": (10_666, 8_915, 356, 0.123757, 0.126152),
    "criteo1tb_embed_init": (10_666, 8_915, 356, 0.129657, 0.131967),
    "criteo1tb_resnet": (10_666, 8_915, 356, 0.12415, 0.12648),
    "finewebedu_lm": (72_000, 31_967, 2_571, 22.2995, math.inf),
    "imagenet_resnet": (195_999, 49_918, 1_996, 0.77431, 0.6560),
    "imagenet_resnet_silu": (195_999, 49_918, 1_996, 0.75445, 0.6323),
    "imagenet_resnet_gelu": (195_999, 49_918, 1_996, 0.76765, 0.6519),
    "imagenet_resnet_large_bn_init": (195_999, 49_918, 1_996, 0.76526, 0.6423),
    "cifar": (4_883, 3_600, 600, 0.85, 0.85),
    "fastmri": (18_094, 2_745, 110, 0.723653, 0.740633),
    "fastmri_model_size": (18_094, 2_745, 110, 0.723559, 0.740726),
    "fastmri_tanh": (18_094, 2_745, 110, 0.717840, 0.734505),
    "fastmri_layernorm": (18_094, 2_745, 110, 0.723284, 0.739996),
    "librispeech_deepspeech": (38_400, 36_949, 1_447, 0.119936, 0.074143),
    "librispeech_deepspeech_tanh": (38_400, 36_949, 1_447, 0.150883, 0.098613),
    "librispeech_deepspeech_no_resnet": (38_400, 36_949, 1_447, 0.131564, 0.079297),
    "librispeech_deepspeech_norm_and_spec_aug": (38_400, 36_949, 1_447, 0.14342, 0.090976),
    "ogbg": (52_000, 11_303, 452, 0.28098, 0.268729),
    "ogbg_gelu": (52_000, 11_303, 452, 0.27771, 0.262926),
    "ogbg_silu": (52_000, 11_303, 452, 0.282178, 0.272144),
    "ogbg_model_size": (52_000, 11_303, 452, 0.269446, 0.253051),
    "wmt": (120_000, 16_114, 644, 30.8491, 30.7219),
    "wmt_post_ln": (120_000, 16_114, 644, 30.0779, 29.8982),
    "wmt_attention_temp": (120_000, 16_114, 644, 29.3379, 29.4143),
    "wmt_glu_tanh": (120_000, 16_114, 644, 29.5779, 29.0515),
    "imagenet_vit": (167_999, 64_292, 2_571, 0.77309, 0.6519),
    "imagenet_vit_glu": (167_999, 64_292, 2_571, 0.75738, 0.6359),
    "imagenet_vit_post_ln": (167_999, 64_292, 2_571, 0.75312, 0.6286),
    "imagenet_vit_map": (167_999, 64_292, 2_571, 0.77113, 0.6523),
}


@pytest.mark.parametrize("full_name", FULL)
def test_full_scale_is_algoperfs(full_name):
    workload = make_workload(full_name, "full")
    assert workload.full_name == full_name
    assert (
        workload.step_hint,
        workload.max_allowed_runtime_sec,
        workload.eval_period_time_sec,
        workload.validation_target_value,
        workload.test_target_value,
    ) == FULL[full_name]


def test_both_scales_have_every_parameter_of_the_other(workload_class, name, variant):
    mini, full = (workload_class(name)(variant, scale) for scale in ("mini", "full"))
    assert mini.model_config.keys() == full.model_config.keys()
    assert {p.type for p in mini.parameters()} == {p.type for p in full.parameters()}
    small, large = ({p.name for p in w.parameters()} for w in (mini, full))
    assert small <= large


def test_a_variant_changes_what_it_names_and_nothing_else(workload_class, name):
    cls = workload_class(name)
    base = cls().model_config
    for variant, definition in cls.variants.items():
        config = cls(variant).model_config
        assert {key for key in config if config[key] != base[key]} == set(definition.model)


def test_parameter_types_are_declared(workload_class):
    def of(name, variant="base"):
        return {p.name: p.type for p in workload_class(name)(variant).parameters()}

    types = of("criteo1tb", "layernorm")
    assert types["Embed_0.embedding"] is ParameterType.EMBEDDING
    assert types["LayerNorm_3.scale"] is ParameterType.LAYER_NORM_SCALE
    assert types["Dense_7.bias"] is ParameterType.BIAS
    types = of("finewebedu_lm")
    assert types["Block_1.Attention_0.query.kernel"] is ParameterType.ATTENTION_Q
    assert types["Block_1.Attention_0.out.kernel"] is ParameterType.ATTENTION_OUT
    assert types["RMSNorm_0.scale"] is ParameterType.LAYER_NORM_SCALE


def test_evaluation_follows_a_grid_of_steps_within_the_hint(workload_class, name):
    settings = workload_class(name).settings["mini"]
    assert 16 <= settings.step_hint / settings.eval_period_steps <= 36


def batch(logits, targets, weights=None, loss=0.0, n_valid=1.0):
    arrays = {"targets": np.array(targets, np.int32)}
    if weights is not None:
        arrays["weights"] = np.array(weights, np.float32)
    return EvalBatch(arrays, loss, n_valid, lambda: np.array(logits, np.float32))


def test_accuracy_leaves_padding_out(workload_class):
    workload = workload_class("mnist")()
    first = batch([[1, 0], [0, 1]], [0, 0], loss=1.0, n_valid=2)
    padded = batch([[0, 1], [0, 1]], [1, 1], [1, 0], loss=0.5, n_valid=1)
    assert workload.evaluate([first, padded]) == {"accuracy": pytest.approx(2 / 3), "loss": pytest.approx(0.5)}


def test_perplexity_is_per_token_over_the_split_and_may_overflow(workload_class):
    workload = workload_class("finewebedu_lm")()
    metrics = workload.evaluate([batch([], [], loss=10.0, n_valid=4), batch([], [], loss=2.0, n_valid=2)])
    assert metrics == {"ppl": pytest.approx(math.exp(2)), "loss": 2.0}
    assert workload.evaluate([batch([], [], loss=1e6)])["ppl"] == math.inf
    assert math.isnan(workload.evaluate([batch([], [], loss=math.nan)])["ppl"])


def test_log_loss_is_the_metric_of_click_prediction(workload_class):
    workload = workload_class("criteo1tb")()
    assert workload.evaluate([batch([], [], loss=1.0, n_valid=4)]) == {"loss": 0.25}
    assert not workload.metric.better(0.3, 0.3)


def test_right_and_wrong_are_one_answer_per_example(workload_class, name):
    workload = workload_class(name)().bind(load("torch"))
    stored = {key: array[:6] for key, array in workload.load_split("validation").items()}
    batch = workload.collate(next(evaluation_batches(stored, 6)))
    params, state = workload.init_model_fn(np.array([0, 7], np.uint32))
    (evaluated,) = workload._bound.evaluated(workload, params, state, [batch])
    right = workload.is_right(evaluated)
    assert right is None or (right.shape == (6,) and right.dtype == bool)
