"""The generator of pictures: the same from the same seed, and each cue and nuisance is as strong as configured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from workloads import scenes
from workloads.scenes import Look

SIDE = 32
CONFIG = {
    "seed": 5,
    "side": SIDE,
    "classes": 16,
    "palette_reliability": 0.6,
    "noise": 0.08,
    "shifted": {"palette_reliability": 0.3, "size": 0.85, "noise": 0.14},
}
PLAIN = Look(palette_reliability=1.0, size=1.0, noise=0.0)


def drawn(labels, seed=1, **changes):
    labels = np.asarray(labels)
    return scenes.draw(np.random.RandomState(seed), labels, SIDE, dataclasses.replace(PLAIN, **changes)).astype(int)


def test_splits_are_of_the_declared_form_balanced_and_decided_by_the_seed():
    sizes = {"train": 333, "validation": 64, "test": 32}
    splits = scenes.generate(CONFIG, sizes)
    for split, size in sizes.items():
        assert splits[split]["inputs"].shape == (size, SIDE, SIDE, 3)
        assert splits[split]["inputs"].dtype == np.uint8
        assert splits[split]["targets"].dtype == np.int32
        counts = np.bincount(splits[split]["targets"], minlength=16)
        assert counts.max() - counts.min() <= 1
    again = scenes.generate(CONFIG, sizes)
    assert all((again[s][key] == splits[s][key]).all() for s in sizes for key in ("inputs", "targets"))
    assert (scenes.generate({**CONFIG, "seed": 6}, sizes)["test"]["inputs"] != splits["test"]["inputs"]).mean() > 0.9


def test_pixels_are_standardised_by_the_published_constants():
    pixels = scenes.generate(CONFIG, {"train": 320})["train"]["inputs"]
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), scenes.PIXEL_MEAN, atol=5)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), scenes.PIXEL_STD, atol=4)


def test_more_classes_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="at most 20 classes, not 21"):
        scenes.generate({**CONFIG, "classes": 21}, {"train": 1})


def test_only_the_test_split_is_shifted():
    looks = scenes.looks(CONFIG)
    assert looks["train"] == looks["validation"] == Look(0.6, 1.0, 0.08)
    assert looks["test"] == Look(0.3, 0.85, 0.14)


def test_every_class_looks_different_in_the_same_circumstances():
    pictures = [drawn([label] * 4) for label in range(20)]
    for a in range(20):
        for b in range(a):
            assert (np.abs(pictures[a] - pictures[b]).max(axis=-1) > 20).mean() > 0.02, (a, b)


def test_classes_differ_in_form_where_they_share_their_palette():
    # With a palette that tells nothing, pictures of two classes still differ inside the object.
    same = [(a, b) for a in range(20) for b in range(a) if len(set(scenes.favourite_palette(np.array([a, b])))) == 1]
    assert len(same) >= 10
    for a, b in same:
        first, second = (drawn([label] * 4) for label in (a, b))
        assert (np.abs(first - second).max(axis=-1) > 60).mean() > 0.02, (a, b)


@pytest.mark.parametrize(("reliability", "low", "high"), [(0.0, 0.0, 0.1), (0.5, 0.1, 0.25), (1.0, 0.3, 0.6)])
def test_the_palette_tells_as_much_of_the_class_as_configured(reliability, low, high):
    labels = np.repeat(np.arange(8), 150) * 2
    pictures = drawn(labels, palette_reliability=reliability)
    middle = pictures[:, 13:19, 13:19].mean(axis=(1, 2)).reshape(8, 150, 3)
    explained = middle.mean(axis=1).var(axis=0).sum() / middle.reshape(-1, 3).var(axis=0).sum()
    assert low <= explained <= high


def test_objects_shrink_by_the_factor():
    labels = np.arange(200) % 16
    without = drawn(labels, size=1e-3)
    areas = [(drawn(labels, size=size) != without).any(axis=-1).sum() for size in (0.85, 1.0)]
    assert areas[0] / areas[1] == pytest.approx(0.85**2, abs=0.04)
    assert 0.1 < areas[1] / (200 * SIDE * SIDE) < 0.35


def test_noise_is_as_loud_as_configured():
    labels = np.arange(200) % 16
    noise = drawn(labels, noise=0.14) - drawn(labels)
    of_each = noise.reshape(200, -1).std(axis=1) / 255
    assert of_each.max() <= 0.145  # clipping to black and white only takes away
    assert of_each.mean() == pytest.approx(0.07, abs=0.02)


def test_a_mirrored_picture_is_not_one_of_its_class():
    # Class 4 is striped along a diagonal: slopes to the right and down go together, and mirroring turns the sign.
    grey = drawn([4] * 400).mean(axis=-1)
    right, down = np.diff(grey, axis=2)[:, :-1], np.diff(grey, axis=1)[:, :, :-1]
    together = (right * down)[:, 8:24, 8:24].mean(axis=(1, 2))
    assert abs(together.mean()) > 8 * together.std() / np.sqrt(len(together))
