"""The best, median and worst images, with masks and ground truth as outlines over them."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mfd.coco import CocoDataset, decode_segmentation
from mfd.headtrain import outlines
from mfd.images import read_rgb
from mfd.report.judge import Judged, JudgedImage, Verdict

_LONGER_SIDE = 480  # pixels of a picture
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class Shape:
    """A mask in a picture.

    Attributes:
        path: its outlines, as the `d` of an SVG path.
        style: CSS classes.
        title: what is said of it.
    """

    path: str
    style: str
    title: str


@dataclass(frozen=True)
class Picture:
    """An image and what was found on it.

    Attributes:
        group: "best", "median" or "worst".
        name: of the image's file.
        data: the picture as a data URI.
        size_wh: of the picture, pixels.
        quality: panoptic quality, which the images are ranked by.
        objects: annotated.
        errors: detections that are wrong, and objects missed.
        truth: the objects.
        found: the detections.
    """

    group: str
    name: str
    data: str
    size_wh: tuple[int, int]
    quality: float
    objects: int
    errors: int
    truth: tuple[Shape, ...]
    found: tuple[Shape, ...]


def choose(images: Sequence[JudgedImage], count: int) -> list[tuple[str, JudgedImage]]:
    """`count` images of each group, none twice, each with its group; images without objects not."""
    ranked = sorted((i for i in images if i.objects), key=lambda i: (-i.quality, i.image_id))
    middle = max(0, (len(ranked) - count) // 2)
    groups = {
        "best": ranked[:count],
        "worst": ranked[::-1][:count],
        "median": ranked[middle : middle + count],
    }
    chosen: dict[int, tuple[str, JudgedImage]] = {}
    for group, members in groups.items():
        for image in members:
            chosen.setdefault(image.image_id, (group, image))
    order = ("best", "median", "worst")
    return sorted(chosen.values(), key=lambda pair: (order.index(pair[0]), -pair[1].quality))


def draw(group: str, judged: JudgedImage, dataset: CocoDataset, upright: bool) -> Picture:
    """The picture of an image.

    Args:
        upright: whether images are read as their EXIF orientation says.

    Raises:
        DataError: the image's file cannot be used.
    """
    (entry,) = [entry for entry in dataset.images if entry.image_id == judged.image_id]
    rgb = read_rgb(dataset.path(entry), entry.size_hw, upright=upright)
    scale = min(1.0, _LONGER_SIDE / max(rgb.size))
    size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    return Picture(
        group=group,
        name=entry.file_name,
        data=_jpeg(rgb.resize(size, Image.Resampling.BOX)),
        size_wh=size,
        quality=judged.quality,
        objects=len(judged.objects),
        errors=sum(judged.missed)
        + sum(d.verdict not in (Verdict.CORRECT, Verdict.IGNORED) for d in judged.detections),
        truth=tuple(_objects(judged, entry.size_hw, size, dataset.categories)),
        found=tuple(_detections(judged.detections, entry.size_hw, size, dataset.categories)),
    )


def _objects(
    judged: JudgedImage,
    size_hw: tuple[int, int],
    size_wh: tuple[int, int],
    names: Mapping[int, str],
) -> Iterator[Shape]:
    for each, is_missed in zip(judged.objects, judged.missed, strict=True):
        if each.has_mask:
            name = names.get(each.category_id, str(each.category_id))
            missed = " missed" if is_missed else ""
            path = _path(each.segmentation, size_hw, size_wh)
            yield Shape(path, f"truth{missed}", f"annotated: {name}{missed and ', missed'}")


def _detections(
    detections: Sequence[Judged],
    size_hw: tuple[int, int],
    size_wh: tuple[int, int],
    names: Mapping[int, str],
) -> Iterator[Shape]:
    for each in detections:
        found = each.detection
        name = names.get(found.category_id, str(found.category_id))
        title = (
            f"{name} {found.class_score:.2f}, quality {found.quality:.2f}, "
            f"IoU {each.iou:.2f}: {each.verdict}"
        )
        style = each.verdict.replace(" ", "-")
        yield Shape(_path(found.rle, size_hw, size_wh), f"found {style}", title)


def _path(segmentation: Any, size_hw: tuple[int, int], size_wh: tuple[int, int]) -> str:
    """The outlines of a mask, shrunk to the picture: SVG's moves, then steps across and down."""
    mask = Image.fromarray(decode_segmentation(segmentation, size_hw) * 255)
    small = np.asarray(mask.resize(size_wh, Image.Resampling.BOX)) > 127
    return "".join(_steps(line) for line in outlines(small))


def _steps(corners: Sequence[tuple[int, int]]) -> str:
    (x0, y0), *others = corners
    parts, x = [f"M{x0} {y0}"], x0
    for to_x, to_y in others:
        parts.append(f"H{to_x}" if to_x != x else f"V{to_y}")
        x = to_x
    return "".join([*parts, "Z"])


def _jpeg(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
