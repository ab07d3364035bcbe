"""Softmax regression by stochastic gradient descent with momentum, thousands of runs at once."""

from __future__ import annotations

import dataclasses

import numpy as np

MOMENTUM = 0.9
LARGEST_LOGIT = 80.0
"""Keeps exp finite in single precision; logits of these small models stay below 40."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Length and size of a run; ``learning_rate`` is that of the reference algorithm."""

    learning_rate: float = 0.01
    steps: int = 100
    period: int = 2
    batch: int = 20
    spread: float = 0.3
    """SD of the initial weights."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What is kept of ``runs`` runs.

    Attributes:
      errors: share of wrong test examples at each evaluation, ``(runs, evaluations)``.
      right: whether each test example was right at the last one, ``(runs, tested)``.
      weights: final, ``(runs, features, classes)``.
    """

    errors: np.ndarray
    right: np.ndarray
    weights: np.ndarray


def gradient(weights: np.ndarray, inputs: np.ndarray, one_hot: np.ndarray) -> np.ndarray:
    """Gradient of the mean cross-entropy of a batch.

    Args:
      weights: ``(runs, features, classes)``.
      inputs: ``(runs, batch, features)``.
      one_hot: ``(runs, batch, classes)``.

    Returns:
      ``(runs, features, classes)``.
    """
    classes = weights.shape[2]
    z = inputs @ weights
    np.minimum(z, LARGEST_LOGIT, out=z)
    np.exp(z, out=z)
    z /= z @ np.ones((classes, classes), dtype=z.dtype)  # a sum over five entries is several times slower
    z -= one_hot
    return np.swapaxes(inputs, 1, 2) @ z / inputs.shape[1]


def answers(weights: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Whether the class with the largest logit is the example's own, ``(runs, tested)``.

    Args:
      weights: ``(runs, features, classes)``.
      tested: ``(runs, features, tested)``, ordered by class, as many of each.
    """
    runs, _, classes = weights.shape
    logits = (np.swapaxes(weights, 1, 2) @ tested).reshape(runs, classes, classes, -1)
    own = logits[:, range(classes), range(classes)]
    return (own >= logits.max(axis=1)).reshape(runs, -1)


def train(
    rng: np.random.Generator,
    inputs: np.ndarray,
    tested: np.ndarray,
    classes: int,
    learning_rate: float,
    recipe: Recipe,
) -> Trained:
    """Trains every run on its own data, in shuffled batches, and tests it after every ``recipe.period`` steps.

    Args:
      rng: of initial weights and orders, so that algorithms given equal generators share both.
      inputs: ``(runs, trained, features)``, ordered by class, as many of each.
      tested: ``(runs, tested, features)``, likewise.
      classes: their number.
      learning_rate: of the heavy ball ``v <- 0.9 v + g, w <- w - learning_rate v``.
      recipe: everything else.
    """
    runs, trained, features = inputs.shape
    weights = (recipe.spread * rng.standard_normal((runs, features, classes))).astype(inputs.dtype)
    velocity = np.zeros_like(weights)
    eye, rate = np.eye(classes, dtype=inputs.dtype), inputs.dtype.type(learning_rate)
    columns = np.ascontiguousarray(np.swapaxes(tested, 1, 2))
    flat, starts = inputs.reshape(-1, features), trained * np.arange(runs)[:, None]
    everyone = np.broadcast_to(np.arange(trained), (runs, trained))
    labels = np.repeat(np.arange(classes), trained // classes)
    per_epoch = trained // recipe.batch
    errors = []
    for step in range(recipe.steps):
        part = step % per_epoch
        if part == 0:
            order = rng.permuted(everyone, axis=1)
        chosen = order[:, part * recipe.batch : (part + 1) * recipe.batch]
        velocity *= inputs.dtype.type(MOMENTUM)
        velocity += gradient(weights, flat.take(chosen + starts, axis=0), eye.take(labels.take(chosen), axis=0))
        weights -= rate * velocity
        if (step + 1) % recipe.period == 0:
            right = answers(weights, columns)
            errors.append(1 - right.mean(axis=1))
    return Trained(np.stack(errors, axis=1), right, weights)
