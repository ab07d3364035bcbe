"""Synthetic volumes with what makes the reconstruction of knees hard.

A volume is a stack of slices through a body: soft-edged ellipses in a shell, which drift and change in size from slice
to slice, with textures. The coil sees it under a bias field and with a phase, the scanner adds noise and has a gain of
its own. Splits have volumes of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates
from workloads.fastmri import scans


@announced(generates)
def generate(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` float32 ``[n, side, side, 2]`` (see :mod:`workloads.fastmri.scans`), ``targets``
    ``[n, side, side]``, the images from all of k-space, and ``volume_max`` ``[n]``, the largest value of an example's
    volume. Training slices also have ``groups``, their volume."""
    rng = np.random.RandomState(config["seed"])
    side, slices = config["side"], config["slices"]
    splits = {}
    for split, size in sizes.items():
        count = -(-size // slices)
        rows = np.concatenate([_measured(rng, _body(rng, side, slices), config["noise"]) for _ in range(count)])
        targets = scans.magnitude(rows, side)
        largest = targets.reshape(count, -1).max(axis=1).repeat(slices)
        arrays = {"inputs": scans.as_pairs(rows), "targets": targets, "volume_max": largest}
        if split == "train":
            arrays["groups"] = np.arange(count, dtype=np.int32).repeat(slices)
        splits[split] = {name: array[:size] for name, array in arrays.items()}
    return splits


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths of all places, -1 to 1."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    return axis[:, None], axis[None, :]


def _body(rng: np.random.RandomState, side: int, slices: int) -> np.ndarray:
    """Magnitudes ``[slices, side, side]``: a shell, and 6 to 13 ellipses inside, that add up."""
    y, x = _grid(side)
    depth = np.linspace(-1, 1, slices, dtype=np.float32)[:, None, None]
    shell_height, shell_width = rng.uniform(0.75, 0.92), rng.uniform(0.6, 0.85)
    turn = rng.uniform(-0.4, 0.4)
    taper = 1 - rng.uniform(0, 0.25) * depth**2
    outer = _ellipse(y, x, 0.0, 0.0, shell_height * taper, shell_width * taper, turn, 0.03)
    thickness = rng.uniform(0.84, 0.93)
    inner = _ellipse(y, x, 0.0, 0.0, shell_height * thickness * taper, shell_width * thickness * taper, turn, 0.03)
    shell, tissue = rng.uniform(0.6, 1.0), rng.uniform(0.15, 0.45)
    body = shell * outer + (tissue - shell) * inner
    for _ in range(rng.randint(6, 14)):
        distance, angle = 0.6 * np.sqrt(rng.random_sample()), rng.uniform(0, 2 * np.pi)
        drift_y, drift_x = rng.uniform(-0.12, 0.12, 2)
        growth = 1 + rng.uniform(-0.45, 0.45) * depth
        height, width = np.exp(rng.uniform(np.log(0.05), np.log(0.4), 2))
        part = _ellipse(
            y,
            x,
            distance * shell_height * np.sin(angle) + drift_y * depth,
            distance * shell_width * np.cos(angle) + drift_x * depth,
            height * growth,
            width * growth,
            rng.uniform(0, np.pi),
            rng.uniform(0.015, 0.06),
        )
        body += rng.uniform(-0.35, 0.6) * part * inner * _texture(rng, y, x)
    return np.abs(body)


def _ellipse(
    y: np.ndarray, x: np.ndarray, centre_y: Any, centre_x: Any, height: Any, width: Any, turn: float, softness: float
) -> np.ndarray:
    """1 inside, 0 outside, with an edge about ``softness`` wide."""
    down, right = y - centre_y, x - centre_x
    along, across = np.cos(turn) * down + np.sin(turn) * right, np.cos(turn) * right - np.sin(turn) * down
    distance = np.sqrt((along / height) ** 2 + (across / width) ** 2)
    steepness = np.minimum(height, width) / softness
    return (0.5 - 0.5 * np.tanh((distance - 1) * steepness)).astype(np.float32)


def _texture(rng: np.random.RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Stripes around 1."""
    frequency, direction, phase = rng.uniform(6, 28), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    wave = np.sin(frequency * (np.cos(direction) * y + np.sin(direction) * x) + phase)
    return (1 + rng.uniform(0, 0.6) * wave).astype(np.float32)


def _measured(rng: np.random.RandomState, body: np.ndarray, noise: float) -> np.ndarray:
    """A volume's rows (see :mod:`workloads.fastmri.scans`), complex64 ``[slices, side, side]``."""
    y, x = _grid(body.shape[-1])
    bias = np.exp(rng.uniform(-0.5, 0.5) * y + rng.uniform(-0.5, 0.5) * x)
    slope_y, slope_x, bowl_y, bowl_x, tilt = rng.uniform(-1.5, 1.5, 5)
    phase = np.exp(1j * (slope_y * y + slope_x * x + bowl_y * y**2 + bowl_x * x**2 + tilt * x * y))
    added = noise * (rng.standard_normal(body.shape) + 1j * rng.standard_normal(body.shape))
    image = np.exp(rng.uniform(np.log(0.25), np.log(4.0))) * (body * bias * phase + added)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=(1, 2)), norm="ortho"), axes=(1, 2))
    return scans.to_rows(kspace, body.shape[-1])
