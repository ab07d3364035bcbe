"""Initial values: moments and bounds in closed form, and independence of the chunk in which they are drawn."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy import stats

from workloads import init_laws

SHAPE = (400, 300)


def draw(law, shape=SHAPE, seed=0):
    return law(np.random.RandomState(seed), shape)


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        (init_laws.normal(0.3), stats.norm(scale=0.3)),
        (init_laws.uniform(-1.0, 3.0), stats.uniform(-1, 4)),
        (init_laws.xavier_uniform, stats.uniform(-math.sqrt(6 / 700), 2 * math.sqrt(6 / 700))),
        (init_laws.xavier_normal, stats.norm(scale=math.sqrt(2 / 700))),
        (init_laws.lecun_normal(), stats.truncnorm(-2, 2, scale=math.sqrt(1 / 400) / stats.truncnorm(-2, 2).std())),
        (init_laws.lecun_normal(fan_in=9), stats.truncnorm(-2, 2, scale=1 / 3 / stats.truncnorm(-2, 2).std())),
    ],
)
def test_values_follow_the_law(law, distribution):
    values = draw(law)
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel(), distribution.cdf).pvalue > 1e-3


def test_constants_have_the_shape_asked_for_even_without_axes():
    assert draw(init_laws.zeros, (3,)).tolist() == [0, 0, 0]
    assert draw(init_laws.ones, (2,)).tolist() == [1, 1]
    assert draw(init_laws.constant(2.5), ()).shape == ()


def test_convolution_kernels_count_the_window_in_their_fans():
    bound = math.sqrt(6 / (9 * 16 + 9 * 32))
    values = draw(init_laws.xavier_uniform, (3, 3, 16, 32))
    assert 0.99 * bound < np.abs(values).max() <= bound


@pytest.mark.parametrize("shape", [(24, 24), (40, 24), (24, 40), (3, 8, 40)])
def test_orthogonal_kernels_keep_lengths_along_their_shorter_side(shape):
    values = draw(init_laws.orthogonal, shape)
    assert values.shape == shape and values.dtype == np.float32
    matrix = values.reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)


def test_orthogonal_kernels_are_uniform_among_all_rotations():
    rng = np.random.RandomState(0)
    drawn = np.array([init_laws.orthogonal(rng, (3, 3)) for _ in range(3000)])
    # A column of a uniform rotation is uniform on the sphere, so each of its coordinates is uniform (Archimedes).
    for coordinate in drawn.reshape(3000, 9).T:
        assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-4
    assert 0.45 < (np.linalg.det(drawn) > 0).mean() < 0.55


@pytest.mark.parametrize("law", [init_laws.normal(1.0), init_laws.uniform(0, 1), init_laws.lecun_normal()])
def test_values_do_not_depend_on_the_chunk(law, monkeypatch):
    whole = draw(law, (7, 11))
    monkeypatch.setattr(init_laws, "_CHUNK", 10)
    np.testing.assert_array_equal(draw(law, (7, 11)), whole)


def test_laws_pickle_and_compare():
    law = pickle.loads(pickle.dumps(init_laws.normal(0.1)))
    np.testing.assert_array_equal(draw(law), draw(init_laws.normal(0.1)))
