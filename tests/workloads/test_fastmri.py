"""fastmri: masks, reconstruction and metric against independent definitions, the data's statistics, the network."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from harness.frameworks import load
from harness.spec import EvalBatch, ForwardPassMode
from workloads.fastmri import sampling, scans
from workloads.fastmri.generator import generate
from workloads.fastmri.metric import ssim
from workloads.fastmri.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)


@pytest.fixture
def random():
    return np.random.RandomState(0)


# ---- masks ----


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, expected):
    assert sampling.philox(counter, key) == expected


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (64, "0030184be2004501"),
        (320, "0030184a82004501240822100040422401080ffffff8100a0430801028c424640020201202864480"),
        (368, "0030184a82004501240822100040422401080048283ffffffe30801028c424640020201202864480e22400218252"),
        (372, "0030184a82004501240822100040422401080048280fffffffb0801028c424640020201202864480e2240021825200"),
    ],
)
def test_evaluation_masks_are_algoperfs(width, expected):
    """Made with TensorFlow 2.21 as AlgoPerf makes them: ``stateless_uniform((width,), [0, 0])`` and float32."""
    assert np.packbits(sampling.evaluation_mask(width)).tobytes().hex() == expected


def test_training_masks_keep_the_centre_and_a_quarter_on_average(random):
    masks = sampling.training_masks(random, np.full(4000, 368), 400)
    assert masks.dtype == bool and not masks[:, 368:].any()
    # 29 of 368 columns, with the odd column on the left.
    assert masks[:, 170:199].all()
    assert masks.sum(axis=1).mean() == pytest.approx(92, abs=0.5)
    others = np.delete(masks[:, :368], slice(170, 199), axis=1).mean(axis=0)
    assert np.abs(others - 63 / 339).max() < 0.03
    assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_training_masks_of_narrower_scans_are_as_if_alone(random):
    masks = sampling.training_masks(random, np.array([64, 32]), 64)
    assert not masks[1, 32:].any() and masks[1, 15:17].all()


# ---- reconstruction ----


def image_of(kspace, side):
    """The centred orthonormal inverse transform, cropped: the definition, in double precision."""
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace.astype(np.complex128)), norm="ortho"))
    top, left = ((size - side) // 2 for size in kspace.shape)
    return np.abs(image)[top : top + side, left : left + side]


@pytest.mark.parametrize("shape", [(64, 64), (40, 33), (37, 52), (33, 35)])
def test_rows_and_magnitude_are_the_masked_inverse_transform(random, shape):
    kspace = (random.standard_normal((*shape, 2)) @ [1, 1j]).astype(np.complex64)
    mask = random.random_sample(shape[1]) < 0.4
    rows = scans.to_rows(kspace[None], 32)
    assert rows.dtype == np.complex64
    np.testing.assert_allclose(scans.magnitude(rows * mask, 32)[0], image_of(kspace * mask, 32), atol=1e-5)


def test_images_are_standardised_by_the_input_and_clipped(random):
    kspace = random.standard_normal((3, 40, 44, 2)) @ [1, 1j]
    masks = random.random_sample((3, 44)) < 0.5
    targets = random.standard_normal((3, 32, 32)).astype(np.float32) * 8
    batch = {"inputs": scans.as_pairs(scans.to_rows(kspace, 32)), "targets": targets, "index": np.arange(3)}
    found = scans.reconstruct(batch, masks, 32)
    for i in range(3):
        image = image_of(kspace[i] * masks[i], 32)
        mean, std = image.mean(), image.std()
        np.testing.assert_allclose(found["inputs"][i], np.clip((image - mean) / std, -6, 6), atol=1e-4)
        np.testing.assert_allclose(found["targets"][i], np.clip((targets[i] - mean) / std, -6, 6), atol=1e-4)
        assert (found["mean"][i], found["std"][i]) == (pytest.approx(mean, rel=1e-5), pytest.approx(std, rel=1e-5))
    assert np.abs(found["targets"]).max() == 6
    assert found["index"] is batch["index"]
    assert {array.dtype for name, array in found.items() if name != "index"} == {np.dtype(np.float32)}


def test_scans_of_different_widths_are_as_if_alone(random):
    wide, narrow = (random.standard_normal((1, 32, width, 2)).astype(np.float32) for width in (48, 36))
    targets = random.random_sample((1, 32, 32)).astype(np.float32)
    together = {
        "inputs": np.concatenate([wide, np.pad(narrow, [(0, 0), (0, 0), (0, 12), (0, 0)])]),
        "targets": targets.repeat(2, axis=0),
        "width": np.array([48, 36], np.int32),
    }
    found = scans.reconstruct(together, np.ones((2, 48), bool), 32)
    assert "width" not in found
    for i, alone in enumerate((wide, narrow)):
        masks = np.ones(alone.shape[:3:2], bool)
        expected = scans.reconstruct({"inputs": alone, "targets": targets}, masks, 32)
        for name in ("inputs", "targets", "mean", "std"):
            np.testing.assert_array_equal(found[name][i], expected[name][0])


def test_training_masks_differ_from_draw_to_draw_and_evaluation_masks_do_not():
    workload = WORKLOAD()
    stored = {name: np.array(array[:4]) for name, array in workload.load_split("train").items()}
    first, second, again = (
        workload.collate(workload.augment(stored, np.random.RandomState(seed)))["inputs"] for seed in (1, 2, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first - second).max(axis=(1, 2)) > 0.1).all()
    fixed = workload.collate(stored)
    kspace = stored["inputs"].view(np.complex64)[..., 0] * sampling.evaluation_mask(64)
    images = np.abs(np.fft.fftshift(np.fft.ifft(kspace, norm="ortho"), axes=2))
    np.testing.assert_allclose(fixed["inputs"] * fixed["std"][:, None, None] + fixed["mean"][:, None, None], images,
                               atol=1e-5 * images.max())  # fmt: skip


# ---- metric ----


def reference_ssim(image, other, data_range):
    """scikit-image's structural_similarity(win_size=7, data_range=...), which was compared: the same to 1e-12."""
    filtered = [uniform_filter(array, 7) for array in (image, other, image**2, other**2, image * other)]
    a, b, aa, bb, ab = (array[3:-3, 3:-3] for array in filtered)
    var_a, var_b, cov = (49 / 48 * v for v in (aa - a * a, bb - b * b, ab - a * b))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return (((2 * a * b + c1) * (2 * cov + c2)) / ((a**2 + b**2 + c1) * (var_a + var_b + c2))).mean()


def test_ssim_is_the_direct_computation_with_the_range_of_the_volume(random):
    images = random.random_sample((4, 30, 41)) * np.array([1e-4, 1.0, 3.0, 50.0])[:, None, None]
    others = images + images.std(axis=(1, 2), keepdims=True) * random.standard_normal(images.shape)
    ranges = images.max(axis=(1, 2)) * np.array([1.0, 1.5, 1.0, 4.0])
    expected = [reference_ssim(*pair) for pair in zip(images, others, ranges, strict=True)]
    np.testing.assert_allclose(ssim(images, others, ranges), expected, atol=1e-12)
    assert len(set(np.round(expected, 2))) > 1
    assert np.abs(ssim(images, others, 2 * ranges) - expected).min() > 1e-3


def test_ssim_of_equal_images_is_one_of_nan_nan_and_a_range_of_zero_counts_as_one(random):
    image = random.random_sample((1, 12, 9))
    assert ssim(image, image, np.array([1.0])) == pytest.approx(1)
    assert ssim(image, 1 - image, np.array([0.0])) == ssim(image, 1 - image, np.array([1.0])) < 0
    assert np.isnan(ssim(image, image * np.nan, np.array([1.0]))).all()


def test_the_metric_is_of_images_as_scanned_without_padding(random):
    workload = WORKLOAD()
    batch = workload.collate({name: np.array(array[:6]) for name, array in workload.load_split("validation").items()})
    logits = batch["targets"] + 0.3 * random.standard_normal(batch["targets"].shape).astype(np.float32)
    mean, std = (batch[name].astype(float) for name in ("mean", "std"))
    expected = [
        reference_ssim(logits[i] * std[i] + mean[i], batch["targets"][i] * std[i] + mean[i], batch["volume_max"][i])
        for i in range(6)
    ]
    first = {name: array[:4] for name, array in batch.items()}
    second = {name: array[[4, 5, 4, 4]] for name, array in batch.items()} | {"weights": np.float32([1, 1, 0, 0])}
    metrics = workload.evaluate(
        [EvalBatch(first, 1.0, 4.0, lambda: logits[:4]), EvalBatch(second, 0.5, 2.0, lambda: logits[[4, 5, 4, 4]])]
    )
    assert metrics == {"ssim": pytest.approx(np.mean(expected), abs=1e-6), "loss": 0.25}


def test_predictions_that_are_no_numbers_have_no_similarity():
    workload = WORKLOAD()
    batch = workload.collate({name: np.array(array[:2]) for name, array in workload.load_split("validation").items()})
    logits = np.full((2, 64, 64), np.nan, np.float32)
    assert np.isnan(workload.evaluate([EvalBatch(batch, np.nan, 2.0, lambda: logits)])["ssim"])


# ---- generated volumes ----


@pytest.fixture(scope="module")
def volumes():
    return generate(WORKLOAD.settings["mini"].data, {"train": 80, "validation": 44, "test": 8})


def test_targets_are_the_images_from_all_of_k_space(volumes):
    train = volumes["train"]
    rows = train["inputs"].view(np.complex64)[..., 0]
    expected = np.abs(np.fft.fftshift(np.fft.ifft(rows, norm="ortho"), axes=2))
    np.testing.assert_allclose(train["targets"], expected, rtol=1e-4, atol=1e-4)


def test_volumes_share_their_maximum_and_differ_in_gain(volumes):
    largest = volumes["train"]["targets"].reshape(10, -1).max(axis=1)
    np.testing.assert_array_equal(volumes["train"]["volume_max"], largest.repeat(8))
    np.testing.assert_array_equal(volumes["train"]["groups"], np.arange(10).repeat(8))
    assert largest.max() > 4 * largest.min()


def test_slices_of_a_volume_are_alike_and_volumes_are_not(volumes):
    images = volumes["train"]["targets"].reshape(10, 8, -1)
    images = images / np.linalg.norm(images, axis=2, keepdims=True)
    alike = np.einsum("vsp,wtp->vwst", images, images).mean(axis=(2, 3))
    within, between = np.diag(alike), alike[~np.eye(10, dtype=bool)]
    assert within.mean() > between.mean() + 0.1


def test_a_quarter_of_k_space_loses_detail_but_not_the_rough_shape(volumes):
    batch = WORKLOAD().collate(volumes["validation"])
    images = batch["inputs"] * batch["std"][:, None, None] + batch["mean"][:, None, None]
    similarity = ssim(images, volumes["validation"]["targets"], batch["volume_max"]).mean()
    assert 0.4 < similarity < 0.7


# ---- network ----

FRAMEWORKS = ["torch", "jax"]


def network(framework, variant="base", kernel=None):
    """A function from images, dropout rate and mode to the output, in numpy; ``kernel`` replaces the last one."""
    workload = WORKLOAD(variant).bind(load(framework))
    params, _ = workload.init_model_fn(KEY)
    if kernel is not None:
        params = workload.import_parameters(params, {"Conv_0.kernel": kernel})

    def forward(images, rate=0.0, training=True):
        mode = ForwardPassMode.TRAIN if training else ForwardPassMode.EVAL
        return workload.model_fn(params, {"inputs": images}, None, mode, KEY, True, rate)[0]

    compiled = jax.jit(forward, static_argnames="training")

    def run(images, *arguments):
        if framework == "jax":
            return np.asarray(compiled(images, *arguments))
        torch.manual_seed(3)
        return forward(torch.tensor(images), *arguments).detach().numpy()

    return run


@pytest.mark.parametrize(("variant", "shape"), [("base", (3, 45, 54)), ("layernorm", (1, 40, 47))])
def test_odd_sizes_are_mirrored_on_the_way_up_in_both_frameworks(random, variant, shape):
    images = random.standard_normal(shape).astype(np.float32)
    torch_output, jax_output = (network(framework, variant)(images) for framework in FRAMEWORKS)
    assert torch_output.shape == shape
    np.testing.assert_allclose(jax_output, torch_output, atol=1e-4 * np.abs(torch_output).max())


def test_instance_norm_takes_out_the_contrast_of_an_image(random):
    run = network("torch")
    images = random.standard_normal((2, 64, 64)).astype(np.float32)
    plain, scaled = run(images), run(images * np.float32([3.0, 0.5])[:, None, None])
    np.testing.assert_allclose(scaled, plain, atol=2e-3 * np.abs(plain).max())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dropout_takes_whole_channels_at_the_rate_of_the_call_in_training_only(random, framework):
    """The last convolution passes on the first channel alone, and shows that map. In jax the rate is traced."""
    first_channel = np.zeros((1, 1, 8, 1), np.float32)
    first_channel[:, :, 0] = 1
    run = network(framework, kernel=first_channel)
    images = random.standard_normal((300, 8, 8)).astype(np.float32)
    for rate in (0.0, 0.25, 0.6):
        absent = (run(images, rate) == 0).mean(axis=(1, 2))
        assert set(np.unique(absent)) <= {0.0, 1.0}
        assert absent.mean() == pytest.approx(rate, abs=0.09)
    np.testing.assert_array_equal(run(images, 0.6, False), run(images, 0.0, False))


def test_layernorm_normalises_the_whole_map_with_a_scale_and_bias_per_channel(random):
    from workloads.fastmri.model_torch import MapNorm

    layer = MapNorm(5)
    scale, bias = random.standard_normal((2, 5)).astype(np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(scale))
        layer.bias.copy_(torch.tensor(bias))
    x = random.standard_normal((3, 5, 6, 7)).astype(np.float32) + 2
    mean, var = x.mean(axis=(1, 2, 3), keepdims=True), x.var(axis=(1, 2, 3), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-6) * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(layer(torch.tensor(x)).detach().numpy(), expected, atol=1e-5)
