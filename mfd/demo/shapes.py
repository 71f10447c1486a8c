"""The outlines of the kinds of object that demo pictures show.

Every outline lies in the unit disc. Most are concave and two have a hole, so that a filled box is a
poor mask of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""A closed line as its corners, (n, 2), (x, y)."""


@dataclass(frozen=True)
class Outline:
    """What is inside `outer` and inside none of `holes`."""

    outer: Ring
    holes: tuple[Ring, ...] = ()

    def transformed(self, matrix: NDArray[np.float64], shift: NDArray[np.float64]) -> "Outline":
        """The outline with every corner at `matrix @ corner + shift`."""
        holes = tuple(hole @ matrix.T + shift for hole in self.holes)
        return Outline(self.outer @ matrix.T + shift, holes)


def ring(rng: Generator) -> Outline:
    """A disc with a wide hole."""
    return Outline(_circle(1.0), (_circle(rng.uniform(0.5, 0.72)),))


def star(rng: Generator) -> Outline:
    """Five to seven spikes."""
    spikes = int(rng.integers(5, 8))
    radii = np.tile([1.0, rng.uniform(0.38, 0.52)], spikes)
    return Outline(_polar(radii))


def crescent(rng: Generator) -> Outline:
    """A disc out of which a smaller disc, shifted to the right, is bitten."""
    radius, shift = rng.uniform(0.72, 0.88), rng.uniform(0.4, 0.52)
    x = (1 - radius**2 + shift**2) / (2 * shift)  # where the two circles cross
    y = np.sqrt(1 - x**2)
    outer, inner = np.arctan2(y, x), np.arctan2(y, x - shift)
    away = np.linspace(outer, 2 * np.pi - outer, 40)
    back = np.linspace(2 * np.pi - inner, inner, 30)[1:-1]
    bite = radius * _directions(back) + np.array([shift, 0.0])
    return Outline(np.concatenate([_directions(away), bite]))


def gear(rng: Generator) -> Outline:
    """A toothed wheel with a round hole for its axle."""
    teeth, root = int(rng.integers(7, 11)), rng.uniform(0.7, 0.8)
    steps = (np.arange(teeth)[:, None] + np.array([0.0, 0.1, 0.5, 0.6])).ravel()
    radii = np.tile([root, 1.0, 1.0, root], teeth)
    corners = radii[:, None] * _directions(steps * 2 * np.pi / teeth)
    return Outline(corners, (_circle(rng.uniform(0.28, 0.42)),))


def cross(rng: Generator) -> Outline:
    """Two bars of equal length at a right angle."""
    half = rng.uniform(0.16, 0.26)
    end = np.sqrt(1 - half**2)
    arm = np.array([[end, -half], [end, half], [half, half]])
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    turns = [np.linalg.matrix_power(quarter, k) for k in range(4)]
    return Outline(np.concatenate([arm @ turn.T for turn in turns]))


def comb(rng: Generator) -> Outline:
    """A spine with three or four teeth on one side, like the letter E."""
    teeth, spine = int(rng.integers(3, 5)), rng.uniform(-0.4, -0.2)
    levels = np.linspace(-0.8, 0.8, 2 * teeth)
    corners = []
    for low, high in zip(levels[::2], levels[1::2], strict=True):
        corners += [(spine, low), (0.6, low), (0.6, high), (spine, high)]
    return Outline(np.array([*corners[1:-1], (-0.6, 0.8), (-0.6, -0.8)]))


def blob(rng: Generator) -> Outline:
    """A smooth closed line with two to four lobes."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    lobes = int(rng.integers(2, 5))
    radii = 1 + rng.uniform(0.3, 0.45) * np.cos(lobes * angles)
    for k in range(2, 6):
        radii += rng.uniform(0, 0.12) * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
    return Outline(_polar(radii / radii.max()))


Kind = tuple[str, Callable[[Generator], Outline]]
"""A category's name, and what draws an outline of it."""

CATEGORIES: dict[int, Kind] = {
    2: ("ring", ring),
    3: ("star", star),
    5: ("crescent", crescent),
    8: ("gear", gear),
    13: ("cross", cross),
    21: ("comb", comb),
    34: ("blob", blob),
}
"""COCO category id -> name and outline; the ids have gaps, as COCO's do."""


def _directions(angles: NDArray[np.float64]) -> Ring:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _polar(radii: NDArray[np.float64]) -> Ring:
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return radii[:, None] * _directions(angles)


def _circle(radius: float) -> Ring:
    return _polar(np.full(48, radius))
