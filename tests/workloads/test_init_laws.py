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


@pytest.mark.parametrize("law", [init_laws.normal(1.0), init_laws.uniform(0, 1), init_laws.lecun_normal()])
def test_values_do_not_depend_on_the_chunk(law, monkeypatch):
    whole = draw(law, (7, 11))
    monkeypatch.setattr(init_laws, "_CHUNK", 10)
    np.testing.assert_array_equal(draw(law, (7, 11)), whole)


def test_laws_pickle_and_compare():
    law = pickle.loads(pickle.dumps(init_laws.normal(0.1)))
    np.testing.assert_array_equal(draw(law), draw(init_laws.normal(0.1)))
