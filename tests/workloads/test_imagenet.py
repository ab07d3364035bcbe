"""Batches of the ImageNet workloads: scenes at mini scale, files at full scale, standardised either way."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workloads import imagenet_folders, images
from workloads.imagenet_resnet.workload import WORKLOAD


def picked(arrays, count):
    return {name: np.asarray(array[:count]) for name, array in arrays.items()}


def test_a_mini_batch_is_shifted_in_training_and_standardised():
    workload = WORKLOAD()
    stored = picked(workload.load_split("train"), 64)
    plain = workload.collate(stored)
    assert plain["inputs"].dtype == np.float32
    assert abs(plain["inputs"].mean()) < 0.3 and 0.7 < plain["inputs"].std() < 1.3
    moved = workload.augment(stored, np.random.RandomState(0))
    np.testing.assert_array_equal(
        moved["inputs"],
        images.random_shift(stored["inputs"], workload.base_settings.data["shift"], np.random.RandomState(0)),
    )
    np.testing.assert_array_equal(moved["targets"], stored["targets"])
    restored = workload.collate(moved)["inputs"] * workload.train_stddev + workload.train_mean
    np.testing.assert_allclose(restored, moved["inputs"], atol=1e-3)


@pytest.fixture
def tree(tmp_path):
    random = np.random.RandomState(0)
    for i, name in enumerate(["n01440764", "n01443537"]):
        for j in range(3):
            path = tmp_path / "imagenet" / "train" / name / f"{name}_{j}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(random.randint(256, size=(3, 4, 3)).astype(np.uint8))
            small.resize((300 + 40 * i, 280), Image.Resampling.BICUBIC).save(path)
    return tmp_path


def test_a_full_batch_is_decoded_from_files_in_evaluation_whole_in_training_cut_and_mirrored(tree):
    workload = WORKLOAD("base", "full", tree)
    stored = picked(imagenet_folders.load_split(tree / "imagenet", "train"), 6)
    paths = imagenet_folders.paths(tree / "imagenet", stored["inputs"])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    whole = workload.collate(stored)
    assert whole["inputs"].shape == (6, 224, 224, 3)
    np.testing.assert_allclose(
        whole["inputs"], (images.centre_crops(paths, 256, 224) / 255 - mean) / std, rtol=1e-4, atol=1e-5
    )
    random = np.random.RandomState(1)
    expected = images.random_mirror(images.random_crops(paths, 224, random), random)
    augmented = workload.augment(stored, np.random.RandomState(1))
    np.testing.assert_array_equal(augmented["inputs"], expected)
    np.testing.assert_array_equal(augmented["targets"], stored["targets"])
    np.testing.assert_allclose(
        workload.collate(augmented)["inputs"], (expected / 255 - mean) / std, rtol=1e-4, atol=1e-5
    )
