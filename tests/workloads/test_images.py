"""Pictures from files and arrays: cuts and scales as the field's transforms do, with damage told by the file's name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.spec import WorkloadError
from workloads.images import (
    AREA,
    ASPECT,
    centre_crops,
    crop_box,
    random_crops,
    random_mirror,
    random_shift,
    standardise,
)


def picture(height, width, seed=0):
    """Smooth colours, so that lossy files stay close."""
    random = np.random.RandomState(seed)
    small = Image.fromarray(random.randint(256, size=(4, 4, 3)).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def saved(tmp_path):
    def save(image, name="a.JPEG", **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save


# ---- arrays ----


def test_standardising_is_per_channel_in_float32():
    images = np.random.RandomState(0).randint(256, size=(2, 3, 3, 3)).astype(np.uint8)
    mean, std = (120.0, 110.0, 100.0), (50.0, 60.0, 70.0)
    found = standardise(images, mean, std)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (images.astype(np.float64) - mean) / std, rtol=1e-5, atol=1e-6)


def test_a_shifted_picture_is_the_old_one_moved_with_zeros_behind_it():
    images = np.random.RandomState(0).randint(1, 256, size=(300, 6, 5, 3)).astype(np.uint8)
    moved = random_shift(images, 2, np.random.RandomState(1))
    assert moved.shape == images.shape and moved.dtype == np.uint8
    seen = set()
    for before, after in zip(images, moved, strict=True):
        fits = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                expected = np.zeros_like(before)
                rows = slice(max(0, down), 6 + min(0, down)), slice(max(0, -down), 6 + min(0, -down))
                columns = slice(max(0, right), 5 + min(0, right)), slice(max(0, -right), 5 + min(0, -right))
                expected[rows[0], columns[0]] = before[rows[1], columns[1]]
                if (expected == after).all():
                    fits.append((down, right))
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) == 25


def test_half_of_the_pictures_are_mirrored():
    images = np.random.RandomState(0).randint(256, size=(1000, 2, 3, 1)).astype(np.uint8)
    found = random_mirror(images, np.random.RandomState(1))
    turned = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (found == images).all(axis=(1, 2, 3))
    assert (turned | kept).all()
    assert 430 < turned.sum() < 570


# ---- random crops ----


numbers = st.lists(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4), min_size=1, max_size=3
).map(np.array)  # fmt: skip


@given(st.integers(1, 700), st.integers(1, 700), numbers)
def test_a_crop_lies_within_the_picture(width, height, draws):
    left, top, right, bottom = crop_box((width, height), draws)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_crops_have_uniform_areas_and_log_uniform_aspects_anywhere():
    random = np.random.RandomState(0)
    boxes = np.array([crop_box((500, 500), random.random_sample((10, 4))) for _ in range(4000)])
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    aspect = np.log(wide / tall)
    small = wide * tall < 0.5 * 500**2  # every aspect fits, so that nothing is tried again
    assert np.log(ASPECT[0]) - 0.01 <= aspect.min() and aspect.max() <= np.log(ASPECT[1]) + 0.01
    assert abs(aspect[small].mean()) < 0.01
    assert aspect[small].std() == pytest.approx(2 * np.log(4 / 3) / np.sqrt(12), rel=0.05)
    area = wide * tall / 500**2
    assert area.min() >= AREA[0] - 0.002
    assert area[small].mean() == pytest.approx((0.08 + 0.5) / 2, abs=0.01)
    place = boxes[small, 0] / (500 - wide[small])
    assert place.mean() == pytest.approx(0.5, abs=0.02)
    assert boxes[:, 0].min() == 0 and boxes[:, 2].max() == 500


@pytest.mark.parametrize(
    ("size", "box"), [((900, 30), (430, 0, 470, 30)), ((30, 900), (0, 430, 30, 470)), ((20, 20), (0, 0, 20, 20))]
)
def test_when_no_attempt_fits_the_centre_is_taken(size, box):
    whole = np.array([[1.0, 1.0, 0.0, 0.0]] * 10)  # the largest area at the widest aspect never fits
    assert crop_box(size, whole) == box


# ---- files ----


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (256, 256), (101, 333)])
def test_evaluation_scales_the_shorter_side_and_takes_the_middle(saved, height, width):
    path = saved(picture(height, width))
    found = centre_crops([path], 64, 56)[0]
    # As the usual pair of transforms does it: the longer side rounded down, the corner rounded to even.
    scale = 64 / min(height, width)
    size = (64 if width <= height else int(width * scale + 1e-9), 64 if height <= width else int(height * scale + 1e-9))
    whole = np.asarray(Image.open(path).resize(size, Image.Resampling.BILINEAR))
    top, left = (round((length - 56) / 2.0) for length in whole.shape[:2])
    np.testing.assert_array_equal(found, whole[top : top + 56, left : left + 56])


def test_training_cuts_a_random_part_and_scales_it(saved):
    paths = [saved(picture(90, 120, seed), f"{seed}.jpg") for seed in range(5)]
    found = random_crops(paths, 32, np.random.RandomState(3))
    draws = np.random.RandomState(3).random_sample((5, 10, 4))
    for path, image, of_it in zip(paths, found, draws, strict=True):
        part = Image.open(path).crop(crop_box((120, 90), of_it))
        np.testing.assert_array_equal(image, np.asarray(part.resize((32, 32), Image.Resampling.BILINEAR)))


def test_the_same_random_state_gives_the_same_crops_by_one_thread_and_by_several(saved, monkeypatch):
    paths = [saved(picture(60, 80, seed), f"{seed}.jpg") for seed in range(8)]
    first = random_crops(paths, 24, np.random.RandomState(3))
    for cores in ({0}, {0, 1, 2}):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        np.testing.assert_array_equal(random_crops(paths, 24, np.random.RandomState(3)), first)
    assert (random_crops(paths, 24, np.random.RandomState(4)) != first).any()


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_files_in_other_colours_become_rgb(saved, mode):
    path = saved(picture(40, 40).convert(mode), quality=95)
    np.testing.assert_array_equal(centre_crops([path], 40, 40)[0], np.asarray(Image.open(path).convert("RGB")))


def test_a_png_under_a_jpegs_name_is_read(saved):
    image = picture(40, 40)
    np.testing.assert_array_equal(centre_crops([saved(image, format="PNG")], 40, 40)[0], np.asarray(image))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-400]), "a.JPEG: is not a whole picture"),
        (lambda path: path.write_bytes(b""), "a.JPEG: is not a whole picture"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "a.JPEG: is not a whole picture"),
        (lambda path: path.unlink(), "a.JPEG: .*No such file"),
    ],
)
def test_damage_is_told_with_the_file_and_the_remedy(saved, damage, message):
    path = saved(picture(64, 64))
    damage(path)
    for read in (lambda: centre_crops([path], 40, 40), lambda: random_crops([path], 8, np.random.RandomState(0))):
        with pytest.raises(WorkloadError, match=message) as caught:
            read()
        assert any(remedy in str(caught.value) for remedy in ("unpack it again", "put it there"))


def test_a_picture_that_is_too_large_to_be_decoded_is_told(saved, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 40 // 2 - 1)
    with pytest.raises(WorkloadError, match="a.JPEG: is not a whole picture .*exceeds limit"):
        centre_crops([saved(picture(40, 40))], 40, 40)
