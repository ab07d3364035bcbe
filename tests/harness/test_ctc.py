"""CTC in both frameworks against a sum over every alignment."""

import itertools

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from harness.frameworks import load
from harness.spec import FRAMEWORKS, LossType

BATCH, FRAMES, CLASSES, LABELS = 5, 5, 3, 3
LENGTHS = (3, 2, 1, 0, 2)
FRAME_COUNTS = (5, 4, 5, 3, 5)


def collapsed(path):
    """A path over classes without repeats and blanks (Graves et al. 2006, the map B)."""
    return tuple(c for c, _ in itertools.groupby(path) if c != 0)


def by_enumeration(logits, frames, label):
    scores = log_softmax(logits.astype(np.float64), -1)
    paths = (p for p in itertools.product(range(CLASSES), repeat=frames) if collapsed(p) == label)
    return -logsumexp([sum(scores[t, c] for t, c in enumerate(path)) for path in paths])


@pytest.fixture(scope="module")
def example():
    random = np.random.RandomState(3)
    logits = random.standard_normal((BATCH, FRAMES, CLASSES)).astype(np.float32)
    # Neighbours differ, so that every label fits into its frames.
    targets = np.array([[1, 2, 1], [2, 1, 0], [1, 0, 0], [0, 0, 0], [1, 2, 0]], np.int32)
    expected = [
        by_enumeration(logits[i], FRAME_COUNTS[i], tuple(targets[i, : LENGTHS[i]].tolist())) for i in range(BATCH)
    ]
    return {
        "logits": logits,
        "targets": targets,
        "target_paddings": (np.arange(LABELS) >= np.array(LENGTHS)[:, None]).astype(np.float32),
        "logit_paddings": (np.arange(FRAMES) >= np.array(FRAME_COUNTS)[:, None]).astype(np.float32),
        "mask": np.array([1, 0, 1, 1, 0], np.float32),
        "expected": np.array(expected, np.float32),
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bare_targets", [False, True])
def test_ctc_is_the_sum_over_all_alignments(framework, masked, bare_targets, example):
    backend = load(framework)
    placed = backend.to_framework(example)
    labels = placed["targets"] if bare_targets else (placed["targets"], placed["target_paddings"])
    logits = (placed["logits"], placed["logit_paddings"])
    found = backend.loss(LossType.CTC_LOSS, labels, logits, placed["mask"] if masked else None, 0.0)
    weights = example["mask"] if masked else np.ones(BATCH, np.float32)
    np.testing.assert_allclose(np.asarray(found["per_example"]), example["expected"] * weights, rtol=1e-4, atol=1e-4)
    assert float(found["summed"]) == pytest.approx((example["expected"] * weights).sum(), rel=1e-4)
    assert float(found["n_valid_examples"]) == (np.array(LENGTHS) * weights).sum()


def test_without_paddings_all_frames_count_and_the_frameworks_agree(example):
    found = {}
    for framework in FRAMEWORKS:
        backend = load(framework)
        placed = backend.to_framework(example)
        loss = backend.loss(LossType.CTC_LOSS, placed["targets"], placed["logits"], None, 0.0)
        found[framework] = np.asarray(loss["per_example"])
    np.testing.assert_allclose(found["torch"], found["jax"], rtol=1e-4)
    assert found["torch"][0] == pytest.approx(by_enumeration(example["logits"][0], FRAMES, (1, 2, 1)), rel=1e-4)


def with_gradient(framework, backend, example, mask):
    """The summed loss and its gradient by the logits, on the host."""
    placed = backend.to_framework(example)
    labels = (placed["targets"], placed["target_paddings"])

    def summed(logits):
        weights = backend.to_framework({"mask": mask})["mask"]
        return backend.loss(LossType.CTC_LOSS, labels, (logits, placed["logit_paddings"]), weights, 0.0)["summed"]

    if framework == "jax":
        value, gradient = jax.value_and_grad(summed)(placed["logits"])
        return float(value), np.asarray(gradient)
    value = summed(placed["logits"].requires_grad_())
    value.backward()
    return value.item(), placed["logits"].grad.cpu().numpy()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("frames", [0, 1, 2])
def test_a_row_of_weight_0_counts_nothing_even_without_an_alignment(framework, frames, example):
    """Row 0 has three labels, too many for its frames."""
    backend, mask = load(framework), np.array([0, 1, 1, 1, 0.5], np.float32)
    expected = with_gradient(framework, backend, example, mask)
    paddings = example["logit_paddings"].copy()
    paddings[0] = np.arange(FRAMES) >= frames
    value, gradient = with_gradient(framework, backend, {**example, "logit_paddings": paddings}, mask)
    assert value == expected[0] and np.isfinite(value)
    np.testing.assert_array_equal(gradient, expected[1])
    assert (gradient[0] == 0).all()


def test_a_row_that_counts_is_still_infinite_in_torch_where_no_alignment_fits(example):
    paddings = example["logit_paddings"].copy()
    paddings[0] = np.arange(FRAMES) >= 1
    broken = {**example, "logit_paddings": paddings}
    assert with_gradient("torch", load("torch"), broken, np.ones(BATCH, np.float32))[0] == np.inf


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("loss_type", [LossType.MEAN_SQUARED_ERROR, LossType.SIGMOID_CROSS_ENTROPY])
def test_infinite_losses_of_weight_0_count_nothing(framework, loss_type):
    backend = load(framework)
    placed = backend.to_framework(
        {
            "targets": np.array([[1], [0], [1]], np.float32),
            "logits": np.array([[0.5], [np.inf], [-2]], np.float32),
            "weights": np.array([1, 0, 1], np.float32),
        }
    )
    found = backend.loss(loss_type, placed["targets"], placed["logits"], placed["weights"], 0.0)
    finite = backend.loss(loss_type, placed["targets"][::2], placed["logits"][::2], None, 0.0)
    assert float(found["summed"]) == float(finite["summed"])
    assert float(np.asarray(found["per_example"]).ravel()[1]) == 0
