"""An instance that was found in an image, as values, as a mask, as JSON and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image
from pycocotools import mask as mask_utils

from mfd.coco import decode_segmentation
from mfd.errors import ConfigError
from mfd.headtrain.inference.draw import Instance, draw_instances
from mfd.headtrain.inference.inputs import ImageInput, upright_rgb
from mfd.headtrain.inference.outline import outlines
from mfd.headtrain.inference.paste import Rle
from mfd.text import printable


@dataclass(frozen=True, repr=False)
class Prediction:
    """An instance of a category, with its box and mask in pixels of the upright image.

    Attributes:
        category_id: as in the annotations that the detector was trained with.
        category: its name; the id where no name is known.
        class_score: the detector's own score of the category, in [0, 1].
        quality: how well the mask is expected to fit, in [0, 1]: the head's estimate of its IoU,
            or the mean probability of its pixels for heads without such an estimate.
        box_xyxy: left, top, right, bottom; may reach outside of the image.
        rle: the mask as COCO's compressed run lengths.
        query: which of the detector's queries found it.
    """

    category_id: int
    category: str
    class_score: float
    quality: float
    box_xyxy: tuple[float, float, float, float]
    rle: Rle = field(hash=False)
    query: int

    @property
    def score(self) -> float:
        """Class score times quality, which COCO's evaluation ranks masks by (eq. 2, 13)."""
        return self.class_score * self.quality

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """True on the instance; of the image's size, made again by each access."""
        height, width = self.rle["size"]
        return decode_segmentation(self.rle, (height, width)).astype(bool)

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(mask_utils.area(self.rle))

    @property
    def mask_box_xywh(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the mask itself, pixels; zeros for an empty one."""
        left, top, width, height = (int(value) for value in mask_utils.toBbox(self.rle))
        return left, top, width, height

    def polygon(self) -> list[list[list[float]]]:
        """The mask's outlines as lists of corners [x, y]; pixel (0, 0) covers [0, 1] x [0, 1].

        A mask of several parts has several outlines. Those of parts run clockwise on the screen,
        those of holes anticlockwise; filled by the even-odd rule they give the mask back. COCO's
        polygons know no holes: for those use `rle`.
        """
        left, top, width, height = self.mask_box_xywh
        part = self.mask[top : top + height, left : left + width]
        return [[[float(x + left), float(y + top)] for x, y in line] for line in outlines(part)]

    def draw(self, image: ImageInput, scale: int = 1) -> Image.Image:
        """The image, as the model takes it, with this mask; `draw_predictions` draws several."""
        return draw_predictions(image, [self], scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values in COCO's result format, and class score, quality and query."""
        left, top, right, bottom = self.box_xyxy
        return {
            "category_id": self.category_id,
            "category": self.category,
            "score": round(self.score, 7),
            "class_score": round(self.class_score, 7),
            "quality": round(self.quality, 7),
            "bbox": [round(value, 4) for value in (left, top, right - left, bottom - top)],
            "segmentation": {**self.rle, "counts": self.rle["counts"].decode("ascii")},
            "query": self.query,
        }

    def __repr__(self) -> str:
        corners = ", ".join(f"{value:.1f}" for value in self.box_xyxy)
        height, width = self.rle["size"]
        return (
            f"Prediction({printable(self.category)!r}, class_score={self.class_score:.3f}, "
            f"quality={self.quality:.3f}, box_xyxy=({corners}), "
            f"mask={self.area} of {height} x {width} pixels)"
        )


def draw_predictions(
    image: ImageInput,
    predictions: Sequence[Prediction],
    scale: int = 1,
    *,
    by_category: bool = False,
) -> Image.Image:
    """The upright image with masks, each labelled with category, class score and quality.

    Of several predictions of one query the first is drawn; they share their mask.

    Args:
        image: as the model takes it: a path, a PIL image, an array or a tensor.
        scale: the picture has `scale` times the image's height and width.
        by_category: each category has a colour that is the same in every image; else each
            instance has its own.

    Raises:
        ConfigError: a scale out of range.
        DataError, InputError: as of `upright_rgb`.
    """
    first = {p.query: p for p in reversed(predictions)}
    instances = [
        Instance(
            p.rle,
            f"{p.category} {p.class_score:.2f}  q{p.quality:.2f}",
            p.category_id if by_category else None,
        )
        for p in predictions
        if first[p.query] is p
    ]
    return draw_instances(upright_rgb(image), instances, scale)


def to_supervision(predictions: Sequence[Prediction]) -> Any:
    """The predictions of one image as `supervision.Detections`, for its annotators and trackers.

    `confidence` is the class score; names, qualities and queries are in `data`.

    Raises:
        ConfigError: the package supervision is not installed.
    """
    try:
        import supervision  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise ConfigError(
            "to_supervision needs the package supervision; install it by `pip install supervision`"
        ) from error
    if not predictions:
        return supervision.Detections.empty()
    return supervision.Detections(
        xyxy=np.array([p.box_xyxy for p in predictions], np.float32),
        mask=np.stack([p.mask for p in predictions]),
        confidence=np.array([p.class_score for p in predictions], np.float32),
        class_id=np.array([p.category_id for p in predictions]),
        data={
            "class_name": np.array([p.category for p in predictions]),
            "quality": np.array([p.quality for p in predictions], np.float32),
            "query": np.array([p.query for p in predictions]),
        },
    )
