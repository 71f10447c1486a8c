"""What a detector does to an image before it looks at it."""

from dataclasses import asdict, dataclass
from typing import Any

MAX_STRETCH = 16
"""Largest ratio of an image's sides that is kept where `longer_side` sets no limit."""


@dataclass(frozen=True)
class Preprocessing:
    """How an RGB image file becomes the detector's input.

    Either `size_hw` is set (plain resize to a fixed height and width, aspect ratio not kept), or
    the shorter side becomes `shorter_side` unless the longer would exceed `longer_side`
    (Deformable DETR: 800 and 1333). Values are scaled to [0, 1], then `(x - mean) / std`.

    `upright` turns the image file first, as its EXIF orientation says. Without `size_hw`,
    `multiple_of` takes off each side what is too much for a multiple of it.
    """

    shorter_side: int = 800
    longer_side: int = 1333
    size_hw: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    upright: bool = False
    multiple_of: int = 1

    def __post_init__(self) -> None:
        for name in ("size_hw", "mean", "std"):  # a list equals no tuple
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(values))

    @property
    def max_side(self) -> int:
        """What the longer side is limited to, whatever `longer_side` allows thin images."""
        return min(self.longer_side, MAX_STRETCH * self.shorter_side)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values; later ones only where they change something.

        So stores that were made before keep their identity.
        """
        later = {"upright": False, "multiple_of": 1}
        values = asdict(self).items()
        return {name: v for name, v in values if name not in later or v != later[name]}


def input_size(size_hw: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width after the resize.

    The evaluation resize of DETR and Deformable DETR: the shorter side is rounded when the
    longer one limits it, and the other side is always truncated. The aspect ratio of images that
    would become less than one pixel wide is not kept.
    """
    if preprocessing.size_hw is not None:
        return preprocessing.size_hw
    shorter, longer = min(size_hw), max(size_hw)
    target = preprocessing.shorter_side
    if longer / shorter * target > preprocessing.max_side:
        target = max(1, round(preprocessing.max_side * shorter / longer))
    other = longer if target == shorter else int(target * longer / shorter)
    if target == 1:  # rounding up has lifted the limit
        other = min(other, preprocessing.max_side)
    step = preprocessing.multiple_of
    target, other = (max(step, side - side % step) for side in (target, other))
    return (target, other) if size_hw[0] <= size_hw[1] else (other, target)
