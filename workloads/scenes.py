"""Small pictures of one textured object before a cluttered background: the mini data of the image workloads.

A class is a shape, a texture with its own direction and frequency, and a favourite palette. The palette is the easiest
cue and lies now and then, the texture is harder, the shape hardest, so that a learning curve climbs in stages.
Position, size, tilt, colours, background, a box in front, contrast and noise differ from picture to picture. Directions
belong to the class: a mirrored picture is not one of its class.

The test split is another collection of the same classes, as ImageNet-v2 is to ImageNet (Recht et al. 2019): palettes
that lie more often, smaller objects, more noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates

PIXEL_MEAN = 127.0
PIXEL_STD = 56.0
"""What the mini workloads standardise pixels by: all three channels have about this mean and spread."""

_CHUNK = 200
"""Pictures drawn at a time: keeps the planes in the processor's cache."""
_EDGE = 12.0
"""Steepness of an object's edge per unit of its radius; soft enough not to alias."""
_PALETTES = 8


@dataclasses.dataclass(frozen=True)
class Look:
    """How the pictures of a split are drawn; what the shifted test changes."""

    palette_reliability: float
    """Probability that an object has its class's palette; any palette otherwise."""
    size: float
    """Factor of every object's radius."""
    noise: float
    """Largest standard deviation of the pixel noise; black to white is 1."""


def looks(config: Mapping[str, Any]) -> dict[str, Look]:
    """The look of every split, from the data configuration."""
    usual = Look(config["palette_reliability"], 1.0, config["noise"])
    shifted = Look(**config["shifted"])
    return {"train": usual, "validation": usual, "test": shifted}


@announced(generates)
def generate(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` uint8 ``[n, side, side, 3]`` and ``targets`` int32 ``[n]``, all classes alike often.

    Args:
      config: ``seed``, ``side`` in pixels, ``classes`` (at most 20), ``palette_reliability`` and ``noise`` of training
        and validation, ``shifted`` with the test's Look.
      sizes: pictures per split.

    Raises:
      ValueError: more classes than there are pairs of a shape and a texture.
    """
    if config["classes"] > len(_SHAPES) * len(_TEXTURES):
        raise ValueError(f"scenes has at most {len(_SHAPES) * len(_TEXTURES)} classes, not {config['classes']}")
    rng = np.random.RandomState(config["seed"])
    splits = {}
    for split, size in sizes.items():
        labels = rng.permutation(np.arange(size) % config["classes"]).astype(np.int32)
        parts = [
            draw(rng, labels[start : start + _CHUNK], config["side"], looks(config)[split])
            for start in range(0, size, _CHUNK)
        ]
        splits[split] = {"inputs": np.concatenate(parts), "targets": labels}
    return splits


def draw(rng: np.random.RandomState, labels: np.ndarray, side: int, look: Look) -> np.ndarray:
    """One picture per label: uint8 ``[n, side, side, 3]``."""
    n = len(labels)

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, size=(n, 1, 1)).astype(np.float32)

    axis = np.linspace(-1, 1, side, dtype=np.float32)
    y, x = (grid[None] for grid in np.meshgrid(axis, axis, indexing="ij"))
    u, v = _in_its_own_frame(x, y, between(-0.3, 0.3), between(-0.3, 0.3), between(-0.25, 0.25), between(0.45, 0.8))
    u, v = u / look.size, v / look.size
    inside = _cover(labels, u, v)[..., None]
    ink = _texture(labels, u, v, between(0, 2 * np.pi), between(0, 2 * np.pi))[..., None]

    honest = rng.random_sample(n) < look.palette_reliability
    palette = np.where(honest, favourite_palette(labels), rng.randint(_PALETTES, size=n))
    light, dark = (colour + 0.08 * rng.standard_normal((n, 3)) for colour in _palette_colours(palette))
    thing = _blend(light, dark, ink)

    picture = thing * inside + _background(rng, x, y, between, n) * (1 - inside)
    hidden = _box(x, y, between, rng.random_sample(n) < 0.4)[..., None]
    picture += hidden * (rng.random_sample((n, 1, 1, 3)).astype(np.float32) - picture)
    picture = 0.5 + between(0.6, 1.1)[..., None] * (picture - 0.5) + between(-0.08, 0.08)[..., None]
    picture += (between(0, 1) * look.noise)[..., None] * rng.standard_normal(picture.shape).astype(np.float32)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


# ---- what makes a class ----


def favourite_palette(labels: np.ndarray) -> np.ndarray:
    """Number of the palette that a class prefers; about two classes share one."""
    return (labels * 3 + 1) % _PALETTES


def _cover(labels: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How much of each pixel the object covers ``[n, side, side]``; the shape is the class modulo five."""
    distance = np.empty_like(u)
    for number, shape in enumerate(_SHAPES):
        which = np.flatnonzero(labels % len(_SHAPES) == number)
        distance[which] = shape(u[which], v[which])
    return np.clip(0.5 - _EDGE * distance, 0, 1)


def _texture(labels: np.ndarray, u: np.ndarray, v: np.ndarray, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Ink ``[n, side, side]`` in 0..1. Classes of one shape differ in its kind, direction or frequency."""
    kind = (labels % len(_SHAPES) + labels // len(_SHAPES)) % len(_TEXTURES)
    angle = (np.pi / 4 * ((labels + labels // 4) % 4)).astype(np.float32)[:, None, None]
    frequency = np.where(labels // 2 % 2, 7.0, 11.0).astype(np.float32)[:, None, None]
    s, t = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    wave = np.empty_like(u)
    for number, texture in enumerate(_TEXTURES):
        which = np.flatnonzero(kind == number)
        wave[which] = texture(frequency[which] * s[which] + along[which], frequency[which] * t[which] + across[which])
    return 0.5 + 0.5 * np.clip(2.5 * wave, -1, 1)


def _polygon(corners: int, apothem: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    angles = 2 * np.pi * (np.arange(corners) + 0.5 * (corners % 2)) / corners
    normals = [(np.float32(np.sin(angle)), np.float32(np.cos(angle))) for angle in angles]

    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        outside = np.full_like(u, -np.inf)
        for right, down in normals:
            np.maximum(outside, right * u + down * v, out=outside)
        return outside - apothem

    return distance


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.hypot(u, v) - (0.66 + 0.3 * np.cos(5 * np.arctan2(u, -v)))


_SHAPES: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (
    lambda u, v: np.hypot(u, v) - 0.85,
    _polygon(4, 0.75),
    _polygon(3, 0.5),
    lambda u, v: np.abs(np.hypot(u, v) - 0.68) - 0.24,
    _star,
)
"""Signed distances from the outline, negative inside: disc, square, triangle, ring, star."""

_TEXTURES: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (
    lambda s, t: np.sin(s),
    lambda s, t: np.sin(s) * np.sin(t),
    lambda s, t: np.cos(s) + np.cos(t) - 0.7,
    lambda s, t: np.sin(s + 1.2 * np.sin(0.6 * t)),
)
"""Waves of about unit height over two phases: stripes, checks, dots, ripples."""


# ---- what does not ----


def _in_its_own_frame(
    x: np.ndarray, y: np.ndarray, left: np.ndarray, top: np.ndarray, tilt: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates as the object sees them: from its centre, upright, in radii."""
    x, y = (x - left) / radius, (y - top) / radius
    return np.cos(tilt) * x + np.sin(tilt) * y, np.cos(tilt) * y - np.sin(tilt) * x


def _palette_colours(palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Light and dark colour ``[n, 3]``: hues evenly round the circle, the dark one a third further on."""
    hue = 2 * np.pi * palette[:, None] / _PALETTES
    channels = 2 * np.pi * np.arange(3) / 3
    return 0.62 + 0.33 * np.cos(hue - channels), 0.3 + 0.25 * np.cos(hue + 2.1 - channels)


def _blend(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``[n, 3], [n, 3], [n, side, side, 1]`` -> ``[n, side, side, 3]``: ``b`` where the weight is 0."""
    a, b = (colour.astype(np.float32)[:, None, None, :] for colour in (a, b))
    return b + weight * (a - b)


def _background(
    rng: np.random.RandomState, x: np.ndarray, y: np.ndarray, between: Callable[[float, float], np.ndarray], n: int
) -> np.ndarray:
    """Two colours that flow into each other along a slope, under a faint wave."""
    slope, direction, frequency = between(0, 2 * np.pi), between(0, 2 * np.pi), between(4, 14)
    flow = 0.5 + 0.5 * (np.cos(slope) * x + np.sin(slope) * y)
    wave = np.sin(frequency * (np.cos(direction) * x + np.sin(direction) * y) + between(0, 2 * np.pi))
    amount = np.clip(flow + between(0, 0.35) * wave, 0, 1)[..., None]
    return _blend(rng.random_sample((n, 3)), rng.random_sample((n, 3)), amount)


def _box(x: np.ndarray, y: np.ndarray, between: Callable[[float, float], np.ndarray], shown: np.ndarray) -> np.ndarray:
    """1 where a box stands in front ``[n, side, side]``, in the pictures chosen by ``shown [n]``."""
    wide, high = between(0.12, 0.35), between(0.12, 0.35)
    within = (np.abs(x - between(-0.8, 0.8)) < wide) & (np.abs(y - between(-0.8, 0.8)) < high)
    return (within & shown[:, None, None]).astype(np.float32)
