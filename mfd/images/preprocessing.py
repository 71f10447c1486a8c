"""What a detector does to an image before it looks at it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preprocessing:
    """How an RGB image file becomes the detector's input.

    Either `size_hw` is set (plain resize to a fixed height and width, aspect ratio not kept), or
    the shorter side becomes `shorter_side` unless the longer would exceed `longer_side`
    (Deformable DETR: 800 and 1333). Values are scaled to [0, 1], then `(x - mean) / std`.
    """

    shorter_side: int = 800
    longer_side: int = 1333
    size_hw: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


def input_size(size_hw: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width after the resize.

    The evaluation resize of DETR and Deformable DETR: the shorter side is rounded when the
    longer one limits it, and the other side is always truncated.
    """
    if preprocessing.size_hw is not None:
        return preprocessing.size_hw
    shorter, longer = min(size_hw), max(size_hw)
    target = preprocessing.shorter_side
    if longer / shorter * target > preprocessing.longer_side:
        target = max(1, round(preprocessing.longer_side * shorter / longer))
    if target == shorter:
        return size_hw
    other = int(target * longer / shorter)
    return (target, other) if size_hw[0] <= size_hw[1] else (other, target)
