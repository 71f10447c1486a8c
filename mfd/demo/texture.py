"""Colours and patterns of demo pictures: backgrounds, and the paint of one object."""

import colorsys

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.float32]
"""(H, W, 3), RGB, 0 to 255."""


def background(rng: Generator, size_hw: tuple[int, int]) -> Picture:
    """A dull, cloudy surface with a faint pattern, lit from one side, and fine grain."""
    width = size_hw[1]
    hue, value = rng.uniform(), rng.uniform(70, 190)
    base = _colour(hue, rng.uniform(0.05, 0.35), value)
    other = _colour(hue + rng.uniform(-0.15, 0.15), rng.uniform(0.05, 0.4), value * 0.7)
    clouds = _clouds(rng, size_hw, cells=int(rng.integers(3, 9)))
    pattern = np.float32(rng.uniform(0.0, 0.35)) * _pattern(rng, size_hw)
    mix = np.clip(0.75 * clouds + pattern, 0, 1)[..., None]
    light = np.linspace(rng.uniform(0.8, 1), rng.uniform(0.8, 1), width, dtype=np.float32)
    grain = rng.standard_normal(size_hw, dtype=np.float32) * np.float32(rng.uniform(2, 7))
    return (base + mix * (other - base)) * light[:, None] + grain[..., None]


def paint(rng: Generator, size_hw: tuple[int, int]) -> Picture:
    """The surface of an object: two colours of similar hue in a pattern, shaded diagonally."""
    height, width = size_hw
    hue, saturation, value = rng.uniform(), rng.uniform(0.5, 0.95), rng.uniform(120, 245)
    base = _colour(hue, saturation, value)
    other = _colour(hue + rng.uniform(-0.08, 0.08), saturation * 0.7, value * rng.uniform(0.5, 0.9))
    mix = np.float32(rng.uniform(0, 1)) * _pattern(rng, size_hw)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.3)
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    shade = 1 + np.float32(depth / 2) * (across[None, :] + down[:, None])
    return (base + mix[..., None] * (other - base)) * shade[..., None]


def _colour(hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32)


def _pattern(rng: Generator, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Stripes, checks, dots, clouds or nothing, (H, W) in [0, 1]."""
    height, width = size_hw
    kind = int(rng.integers(5))
    if kind == 0:
        return np.zeros(size_hw, dtype=np.float32)
    if kind == 1:
        return _clouds(rng, size_hw, cells=int(rng.integers(4, 12)))
    period, angle = rng.uniform(5, 18), rng.uniform(0, np.pi)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(2 * np.pi / period)
    x = np.arange(width, dtype=np.float32)[None, :] * np.float32(2 * np.pi / period)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = np.sin(x * cos + y * sin)
    if kind == 2:
        return np.clip(0.5 + 1.5 * along, 0, 1)
    across = np.sin(y * cos - x * sin)
    if kind == 3:
        return np.clip(0.5 + 3 * along * across, 0, 1)
    return np.clip(2 * (along + across) - 1.5, 0, 1)


def _clouds(rng: Generator, size_hw: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Smooth noise, (H, W) in [0, 1]: `cells` by `cells` random values, interpolated."""
    height, width = size_hw
    values = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    smooth = values.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32) / np.float32(255)
