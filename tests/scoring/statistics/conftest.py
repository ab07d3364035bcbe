"""An estimator that scores as it is told, for tests that would rather train."""

import warnings

import numpy as np
import pytest


class Scripted:
    """Gives its scores one after the other; ``shares`` has the share of the second class at each fit."""

    def __init__(self, scores):
        self.scores, self.shares = list(scores), []

    def fit(self, X, y):
        self.shares.append(float(np.mean(y)))
        return self


@pytest.fixture(scope="session")
def scripted():
    """Carries out a test of mlxtend on given differences, its warnings contained: the result, and the estimator."""

    def carry_out(test, differences, **options):
        first, second = Scripted(differences), Scripted([0.0] * len(differences))
        X, y = np.zeros((40, 1)), np.arange(40) % 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return test(first, second, X, y, scoring=lambda model, X, y: model.scores.pop(0), **options), first

    return carry_out
