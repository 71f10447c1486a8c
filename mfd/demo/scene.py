"""One demo picture: objects over a textured background, with the visible part of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mfd.demo.shapes import CATEGORIES, Kind, Outline, Ring
from mfd.demo.texture import background, paint

_SUPERSAMPLING = 4
_MIN_VISIBLE = 0.4  # of every object's own area
_MIN_PIXELS = 24
_ATTEMPTS = 8


@dataclass(frozen=True)
class SceneObject:
    """What an annotator would draw.

    Attributes:
        category_id: COCO category id.
        mask: (H, W), the pixels where the object, or any object of the crowd, is on top.
        iscrowd: a group of objects in one mask.
    """

    category_id: int
    mask: NDArray[np.bool_]
    iscrowd: bool


@dataclass(frozen=True)
class Scene:
    """A picture, (H, W, 3) RGB, and its objects."""

    image: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class SceneConfig:
    """How crowded pictures are.

    Args:
        most_objects: apart from those of a crowd; the number is uniform from 1, rarely 0.
        smallest: extent of the smallest object, pixels; extents are spread evenly in their
            logarithm.
        largest: extent of the largest object, as a part of the shorter side.
        crowd_probability: that a picture contains a crowd.
        empty_probability: that a picture contains no object.
        categories: name and outline of each category id.
    """

    most_objects: int = 6
    smallest: float = 22.0
    largest: float = 1.2
    crowd_probability: float = 0.06
    empty_probability: float = 0.02
    categories: Mapping[int, Kind] = field(default_factory=lambda: CATEGORIES)


def compose(rng: Generator, size_hw: tuple[int, int], config: SceneConfig | None = None) -> Scene:
    """A picture of `size_hw`, everything in it drawn from `rng`.

    Large objects are placed first and later ones cover them, but never so much that less than
    two fifths of one is left: an object that is seen and not annotated would be a wrong label.
    """
    config = config or SceneConfig()
    owner = np.full(size_hw, -1, dtype=np.int32)
    canvas = _Canvas(config.categories, background(rng, size_hw), owner)
    if rng.uniform() >= config.empty_probability:
        count = int(rng.integers(1, config.most_objects + 1))
        low, high = np.log([config.smallest, config.largest * min(size_hw)]).tolist()
        extents = np.exp(rng.uniform(low, high, count))
        for extent in sorted(extents.tolist(), reverse=True):
            category_id = int(rng.choice(list(config.categories)))
            canvas.place(rng, category_id, extent, _anywhere(size_hw))
    if rng.uniform() < config.crowd_probability:
        _place_crowd(rng, canvas)
    return Scene(np.clip(canvas.picture, 0, 255).astype(np.uint8), canvas.objects())


Area = tuple[float, float, float, float]
"""Minimum x, minimum y, maximum x, maximum y of an object's centre."""


@dataclass
class _Canvas:
    """A picture being painted; `owner` is the number of the object on top of each pixel, or -1."""

    categories: Mapping[int, Kind]
    picture: NDArray[np.float32]
    owner: NDArray[np.int32]
    category_ids: list[int] = field(default_factory=list)
    least: list[float] = field(default_factory=list)  # pixels of each that must stay visible
    visible: list[int] = field(default_factory=list)  # pixels of each on top
    crowds: dict[int, int] = field(default_factory=dict)  # object -> first object of its crowd

    def place(self, rng: Generator, category_id: int, extent: float, area: Area) -> bool:
        """Paints one object somewhere in `area`; false if it would hide too much everywhere."""
        outline = _pose(rng, self.categories[category_id][1](rng), extent)
        for _ in range(_ATTEMPTS):
            shift = np.array([rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])])
            moved = outline.transformed(np.eye(2), shift)
            alpha, left, top = _rasterise(moved)
            inside = _overlap(alpha.shape, left, top, self.owner.shape)
            if inside is None:
                continue
            there, here = inside
            solid = alpha > 0.5
            if self._claim(solid[here], there, max(_MIN_VISIBLE * solid.sum(), _MIN_PIXELS)):
                self._paint(rng, alpha, there, here)
                self.category_ids.append(category_id)
                return True
        return False

    def _claim(self, pixels: NDArray[np.bool_], there: tuple[slice, slice], least: float) -> bool:
        """Gives the pixels to a new object, unless an earlier or the new one is left too few."""
        owner = self.owner[there]
        lost = np.bincount(owner[pixels] + 1, minlength=len(self.visible) + 1)[1:]
        visible = [*(np.array(self.visible, dtype=int) - lost).tolist(), int(pixels.sum())]
        if any(left < needed for left, needed in zip(visible, [*self.least, least], strict=True)):
            return False
        owner[pixels] = len(self.least)
        self.visible = visible
        self.least.append(least)
        return True

    def _paint(
        self,
        rng: Generator,
        alpha: NDArray[np.float32],
        there: tuple[slice, slice],
        here: tuple[slice, slice],
    ) -> None:
        """Blends a soft shadow, then the object's own surface, into the picture."""
        radius = max(1.0, 0.04 * max(alpha.shape))
        solid = Image.fromarray((alpha * 255).astype(np.uint8))
        shadow = np.asarray(solid.filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255
        surface = paint(rng, (alpha.shape[0], alpha.shape[1]))
        below = self.picture[there] * (1 - 0.45 * shadow[here][..., None])
        cover = alpha[here][..., None]
        self.picture[there] = below + cover * (surface[here] - below)

    def objects(self) -> tuple[SceneObject, ...]:
        """The visible part of every object, the members of a crowd together."""
        first = np.array([self.crowds.get(i, i) for i in range(len(self.least))] + [-1])
        owner = first[self.owner]
        crowds = set(self.crowds.values())
        return tuple(
            SceneObject(self.category_ids[i], owner == i, i in crowds)
            for i in np.unique(first[:-1]).tolist()
        )


def _place_crowd(rng: Generator, canvas: _Canvas) -> None:
    """Many small objects of one kind in one neighbourhood, annotated as one region."""
    height, width = canvas.owner.shape
    category_id = int(rng.choice(list(canvas.categories)))
    x, y, reach = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, 0.16 * width
    first = len(canvas.least)
    for _ in range(int(rng.integers(8, 15))):
        extent = rng.uniform(18, 28)
        if canvas.place(rng, category_id, extent, (x - reach, y - reach, x + reach, y + reach)):
            canvas.crowds[len(canvas.least) - 1] = first


def _anywhere(size_hw: tuple[int, int]) -> Area:
    height, width = size_hw
    return 0.03 * width, 0.03 * height, 0.97 * width, 0.97 * height


def _pose(rng: Generator, outline: Outline, extent: float) -> Outline:
    """The outline squeezed, turned and scaled so that its longer side is `extent` pixels."""
    turn, squeeze = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.0)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, squeeze])
    corners = outline.outer @ matrix.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = extent / (high - low).max()
    return outline.transformed(scale * matrix, -scale * (low + high) / 2)


def _rasterise(outline: Outline) -> tuple[NDArray[np.float32], int, int]:
    """How much of each pixel is covered, in [0, 1], and the left and top of that patch."""
    low = np.floor(outline.outer.min(axis=0)).astype(int) - 2
    high = np.ceil(outline.outer.max(axis=0)).astype(int) + 2
    width, height = (high - low).tolist()
    fine = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    draw = ImageDraw.Draw(fine)

    def corners(ring: Ring) -> list[float]:
        # ImageDraw puts pixel centres at whole numbers
        return ((ring - low) * _SUPERSAMPLING - 0.5).ravel().tolist()

    draw.polygon(corners(outline.outer), fill=255)
    for hole in outline.holes:
        draw.polygon(corners(hole), fill=0)
    alpha = np.asarray(fine.reduce(_SUPERSAMPLING), dtype=np.float32) / np.float32(255)
    return alpha, int(low[0]), int(low[1])


def _overlap(
    patch: tuple[int, ...], left: int, top: int, whole: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where a patch lies in the picture, and which part of the patch that is."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + patch[0], whole[0]), min(left + patch[1], whole[1])
    if y0 >= y1 or x0 >= x1:
        return None
    there = slice(y0, y1), slice(x0, x1)
    return there, (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
