"""RandAugment against pillow, mixup, positions by their formula, the model against flax's own layers, dropout."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
import torch
from flax import linen
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from harness.data import InputQueue
from harness.frameworks import load
from harness.spec import FRAMEWORKS, ForwardPassMode
from workloads.imagenet_vit.architecture import Architecture, position_table
from workloads.imagenet_vit.mixup import mixup
from workloads.imagenet_vit.randaugment import FILL, OPERATIONS, Draws, randaugment
from workloads.imagenet_vit.workload import WORKLOAD

KEY = np.array([0, 7], np.uint32)
VARIANTS = ["base", *WORKLOAD.variants]


# ---- RandAugment ----


def pictures(side: int, count: int = 4, seed: int = 0) -> np.ndarray:
    """Smooth colours with noise; the first has a channel of one value, the last one of very few."""
    random = np.random.RandomState(seed)
    small = random.randint(256, size=(count, 7, 7, 3)).astype(np.uint8)
    smooth = np.stack([Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in small])
    noisy = np.clip(smooth * 0.8 + random.randint(-5, 25, size=smooth.shape), 0, 255).astype(np.uint8)
    noisy[0, ..., 1] = 77
    noisy[-1, ..., 2] = 40 + 90 * (noisy[-1, ..., 2] > 250)
    return noisy


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    fill = (FILL,) * 3
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=fill)


PILLOW = {
    "AutoContrast": lambda image, sign: ImageOps.autocontrast(image),
    "Equalize": lambda image, sign: ImageOps.equalize(image),
    "Invert": lambda image, sign: ImageOps.invert(image),
    "Rotate": lambda image, sign: image.rotate(30 * sign, Image.Resampling.NEAREST, fillcolor=(FILL,) * 3),
    "Posterize": lambda image, sign: ImageOps.posterize(image, 4),
    "Solarize": lambda image, sign: ImageOps.solarize(image, 256),
    "SolarizeAdd": lambda image, sign: image.point([i + 110 if i < 128 else i for i in range(256)] * 3),
    "Color": lambda image, sign: ImageEnhance.Color(image).enhance(1.9),
    "Contrast": lambda image, sign: ImageEnhance.Contrast(image).enhance(1.9),
    "Brightness": lambda image, sign: ImageEnhance.Brightness(image).enhance(1.9),
    "Sharpness": lambda image, sign: ImageEnhance.Sharpness(image).enhance(1.9),
    "ShearX": lambda image, sign: affine(image, 1, 0.3 * sign, 0, 0, 1, 0),
    "ShearY": lambda image, sign: affine(image, 1, 0, 0, 0.3 * sign, 1, 0),
    "TranslateX": lambda image, sign: affine(image, 1, 0, int(100 / 224 * image.width) * sign, 0, 1, 0),
    "TranslateY": lambda image, sign: affine(image, 1, 0, 0, 0, 1, int(100 / 224 * image.height) * sign),
}


@pytest.mark.parametrize("side", [48, 224])
@pytest.mark.parametrize("operation", PILLOW)
def test_operations_are_pillows_to_the_last_bit(operation, side):
    images = pictures(side)
    before = images.copy()
    signs = np.array([1, -1, -1, 1])
    found = OPERATIONS[operation](images, Draws(signs, np.zeros((4, 2))))
    expected = [PILLOW[operation](Image.fromarray(image), int(sign)) for image, sign in zip(images, signs, strict=True)]
    np.testing.assert_array_equal(found, np.stack(expected))
    np.testing.assert_array_equal(images, before)
    assert (found != images).any() == (operation != "Solarize")


def test_cutout_fills_a_square_that_the_border_cuts():
    images = pictures(224, 3)
    centres = np.array([(100, 120), (0, 0), (223, 30)])
    found = OPERATIONS["Cutout"](images, Draws(np.ones(3, int), (centres + 0.5) / 224))
    row, column = np.mgrid[:224, :224]
    for before, after, (y, x) in zip(images, found, centres, strict=True):
        inside = (row >= y - 40) & (row < y + 40) & (column >= x - 40) & (column < x + 40)
        assert (after[inside] == FILL).all()
        np.testing.assert_array_equal(after[~inside], before[~inside])


def test_all_sixteen_operations_of_algoperf_are_there_and_full_scale_draws_two_of_them():
    data = WORKLOAD.settings["full"].data
    assert len(OPERATIONS) == 16 and PILLOW.keys() == OPERATIONS.keys() - {"Cutout"}
    assert data["operations"] == tuple(OPERATIONS) and data["layers"] == 2
    assert set(WORKLOAD.settings["mini"].data["operations"]) <= OPERATIONS.keys()


def test_layers_follow_one_another():
    images = pictures(16, 5)
    random = np.random.RandomState(0)
    np.testing.assert_array_equal(randaugment(images, ["Invert"], 0, random), images)
    np.testing.assert_array_equal(randaugment(images, ["Invert"], 1, random), 255 - images)
    np.testing.assert_array_equal(randaugment(images, ["Invert"], 2, random), images)


def test_every_operation_is_drawn_alike_often_and_in_both_directions():
    """By pictures that tell the operation: of one grey row on black, each becomes something else."""
    images = np.zeros((4_000, 8, 8, 3), np.uint8)
    images[:, 2, 5] = 100
    names = ["Invert", "SolarizeAdd", "Brightness", "TranslateX"]
    found = randaugment(images, names, 1, np.random.RandomState(1))
    same = {
        "Invert": (found == 255 - images).all((1, 2, 3)),
        "SolarizeAdd": (found[:, 0, 0, 0] == 110) & (found[:, 2, 5, 0] == 210),
        "Brightness": (found[:, 2, 5, 0] == 190) & (found[:, 0, 0, 0] == 0),
        "left": found[:, 2, 2, 0] == 100,
        "right": (found[:, 0, 2, 0] == FILL) & (found[:, 0, 7, 0] == 0),
    }
    counts = np.array([which.sum() for which in same.values()])
    assert counts.sum() == len(images)
    assert stats.chisquare(counts, len(images) * np.array([2, 2, 2, 1, 1]) / 8).pvalue > 1e-3


def test_threads_and_their_shares_change_nothing():
    images = pictures(224, 20)
    found = [randaugment(images, list(OPERATIONS), 2, np.random.RandomState(3), threads=n) for n in (1, 3)]
    np.testing.assert_array_equal(*found)
    one = randaugment(images[:, :48, :48], list(OPERATIONS), 2, np.random.RandomState(3))
    assert one.shape == (20, 48, 48, 3) and one.dtype == np.uint8


# ---- mixup and the whole augmentation ----


def test_mixup_mixes_each_example_with_the_one_before_it():
    random, again = np.random.RandomState(5), np.random.RandomState(5)
    pixels = random.randint(256, size=(6, 4, 4, 3)).astype(np.uint8)
    labels = np.array([2, 0, 1, 1, 2, 0], np.int32)
    again.randint(256, size=(6, 4, 4, 3))
    mixed, targets = mixup(pixels, labels, 3, 0.2, random)
    weight = again.beta(0.2, 0.2)
    np.testing.assert_allclose(mixed, weight * pixels + (1 - weight) * np.roll(pixels, 1, 0), rtol=1e-5, atol=1e-4)
    onehot = np.eye(3)[labels]
    np.testing.assert_allclose(targets, weight * onehot + (1 - weight) * np.roll(onehot, 1, 0), rtol=1e-5)
    assert mixed.dtype == targets.dtype == np.float32


def test_mixups_weight_follows_its_law():
    random = np.random.RandomState(0)
    labels = np.array([0, 1])
    weights = [mixup(np.zeros((2, 1), np.uint8), labels, 2, 0.2, random)[1][0, 0] for _ in range(2_000)]
    assert stats.kstest(weights, stats.beta(0.2, 0.2).cdf).pvalue > 1e-3


def test_a_training_batch_is_augmented_and_standardised_and_depends_on_the_seed():
    workload = WORKLOAD()
    labels = np.arange(128, dtype=np.int32) % 16
    arrays = {"inputs": pictures(48, 128), "targets": labels}

    def drawn(seed: int) -> dict[str, np.ndarray]:
        return next(InputQueue(arrays, 64, seed, workload.collate, workload.augment))

    first, again, other = drawn(1), drawn(1), drawn(2)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["inputs"], other["inputs"])
    assert first["inputs"].shape == (64, 48, 48, 3) and first["inputs"].dtype == np.float32
    assert first["targets"].shape == (64, 16)
    np.testing.assert_allclose(first["targets"].sum(1), 1, rtol=1e-5)
    own = labels[first["index"]]
    weight = first["targets"][np.arange(64), own].min()
    expected = weight * np.eye(16)[own] + (1 - weight) * np.eye(16)[np.roll(own, 1)]
    np.testing.assert_allclose(first["targets"], expected, atol=1e-5)


def test_a_batch_at_full_scale_is_decoded_augmented_mixed_and_standardised(tmp_path):
    names = [f"train/n{i:08d}/{i}.JPEG" for i in range(3)]
    for name, image in zip(names, pictures(300, 3), strict=True):
        path = tmp_path / "imagenet" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path, "JPEG")
    workload = WORKLOAD("base", "full", tmp_path)
    arrays = {"inputs": np.array([name.encode() for name in names]), "targets": np.array([0, 998, 999], np.int32)}
    batch = next(InputQueue(arrays, 3, 0, workload.collate, workload.augment))
    assert batch["inputs"].shape == (3, 224, 224, 3) and batch["inputs"].dtype == np.float32
    assert -2.2 < batch["inputs"].min() < batch["inputs"].max() < 2.7
    assert batch["targets"].shape == (3, 1000)
    np.testing.assert_allclose(batch["targets"][:, [0, 998, 999]].sum(1), 1, rtol=1e-5)
    evaluated = workload.collate(arrays)
    assert evaluated["inputs"].shape == (3, 224, 224, 3)
    np.testing.assert_array_equal(evaluated["targets"], [0, 998, 999])


# ---- positions ----


def test_positions_are_sines_and_cosines_of_column_and_row():
    grid, width = 3, 16
    table = position_table(grid, width)
    assert table.shape == (9, 16) and table.dtype == np.float32
    for row in range(grid):
        for column in range(grid):
            for i in range(4):
                frequency = 1 / 10_000 ** (i / 3)
                values = [f(p * frequency) for p in (column, row) for f in (math.sin, math.cos)]
                np.testing.assert_allclose(table[row * grid + column, i::4], values, rtol=1e-6)


@pytest.mark.parametrize("width", [4, 10])
def test_a_width_without_positions_is_refused(width):
    with pytest.raises(ValueError, match=f"multiple of 4 and at least 8, not {width}"):
        position_table(3, width)


# ---- the model against flax's own layers ----


class FlaxMLP(linen.Module):
    a: Architecture

    @linen.compact
    def __call__(self, x):
        x = linen.gelu(linen.Dense(self.a.hidden, name="Dense_0")(x))
        if self.a.glu:
            x = x * linen.Dense(self.a.hidden, name="Dense_1")(x)
        return linen.Dense(self.a.width, name="Dense_2" if self.a.glu else "Dense_1")(x)


class FlaxBlock(linen.Module):
    a: Architecture

    @linen.compact
    def __call__(self, x):
        attention = linen.MultiHeadDotProductAttention(self.a.heads, name="Attention_0")
        mlp = FlaxMLP(self.a, name="MLP_0")
        first, second = (linen.LayerNorm(name=f"LayerNorm_{i}") for i in (0, 1))
        if self.a.post_ln:
            x = first(x + attention(x))
            return second(x + mlp(x))
        x = x + attention(first(x))
        return x + mlp(second(x))


class FlaxViT(linen.Module):
    """The definition written with flax's convolution, attention and normalisation."""

    a: Architecture

    @linen.compact
    def __call__(self, x):
        a = self.a
        x = linen.Conv(a.width, (a.patch, a.patch), a.patch, padding="VALID")(x)
        x = x.reshape(len(x), -1, a.width) + position_table(a.grid, a.width)
        for i in range(a.depth):
            x = FlaxBlock(a, name=f"Block_{i}")(x)
        x = x if a.post_ln else linen.LayerNorm()(x)
        x = FlaxMAPHead(a, name="MAPHead_0")(x) if a.map_head else x.mean(1)
        x = linen.tanh(linen.Dense(a.width, name="Dense_0")(x))
        return linen.Dense(a.classes, name="Dense_1")(x)


class FlaxMAPHead(linen.Module):
    a: Architecture

    @linen.compact
    def __call__(self, x):
        probe = self.param("probe", linen.initializers.zeros, (1, 1, self.a.width))
        probe = np.ones((len(x), 1, 1)) * probe
        x = linen.MultiHeadDotProductAttention(self.a.heads, name="Attention_0")(probe, x)
        return (x + FlaxMLP(self.a, name="MLP_0")(linen.LayerNorm()(x)))[:, 0]


def moved_params(workload):
    """Parameters off their zero and symmetric starts."""
    params, state = workload.init_model_fn(KEY)
    random = np.random.RandomState(0)
    values = workload.export_parameters(params)
    moved = {k: v + 0.1 * random.standard_normal(v.shape).astype(np.float32) for k, v in values.items()}
    return workload.import_parameters(params, moved), state


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_is_the_one_made_of_flax_layers(variant):
    workload = WORKLOAD(variant).bind(load("jax"))
    params, state = moved_params(workload)
    x = np.random.RandomState(1).standard_normal((2, 48, 48, 3)).astype(np.float32)
    expected = jax.jit(FlaxViT(Architecture.of(workload.model_config)).apply)({"params": params}, x)

    @jax.jit
    def logits(params):
        return workload.model_fn(params, {"inputs": x}, state, ForwardPassMode.EVAL, KEY, False)[0]

    found = logits(params)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dropout_acts_in_training_only_and_keeps_the_mean_of_the_patches(framework):
    workload = WORKLOAD("map").bind(load(framework))
    params, state = moved_params(workload)
    x = np.random.RandomState(1).standard_normal((2, 48, 48, 3)).astype(np.float32)
    batch = workload._bound.to_framework({"inputs": x})

    def logits(mode, rate, key):
        return workload.model_fn(params, batch, state, mode, key, True, rate)[0]

    compiled = jax.jit(logits, static_argnums=0) if framework == "jax" else logits

    def run(mode, rate, seed=7):
        found = compiled(mode, rate, np.array([0, seed], np.uint32))
        return found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)

    plain = run(ForwardPassMode.EVAL, 0.5)
    np.testing.assert_allclose(run(ForwardPassMode.TRAIN, 0.0), plain, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(run(ForwardPassMode.EVAL, 0.5), plain)
    assert np.abs(run(ForwardPassMode.TRAIN, 0.1) - plain).max() > 0.05
    few = np.mean([run(ForwardPassMode.TRAIN, 1e-3, seed) for seed in range(20)], axis=0)
    assert np.abs(few - plain).max() < np.abs(run(ForwardPassMode.TRAIN, 0.5) - plain).max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_place_that_drops_has_a_key_of_its_own(monkeypatch, variant):
    from workloads.imagenet_vit import model_jax

    keys = []
    monkeypatch.setattr(model_jax, "dropout", lambda x, rate, rng, train: keys.append(rng) or x)
    workload = WORKLOAD(variant).bind(load("jax"))
    params, state = workload.init_model_fn(KEY)
    x = np.zeros((1, 48, 48, 3), np.float32)

    def forward(params):
        return workload.model_fn(params, {"inputs": x}, state, ForwardPassMode.TRAIN, KEY, True, 0.5)[0]

    jax.eval_shape(forward, params)
    assert len(keys) == Architecture.of(workload.model_config).dropouts
    assert None not in keys
