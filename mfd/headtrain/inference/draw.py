"""Masks drawn over their image: a colour for each, a smooth outline, a label that can be read."""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pycocotools import mask as mask_utils

from mfd.coco import decode_segmentation
from mfd.headtrain.inference.paste import Rle

_SMALLEST_SIDE = 400  # pixels of the picture; smaller images are magnified
_FILL = 0.45  # share of the colour inside a mask
_GOLDEN = 0.618034  # steps of hue that never come close to an earlier one

_Box = tuple[int, int, int, int]
_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Instance:
    """A mask, of its image's size, and the text that goes with it, such as "cat 0.87"."""

    mask: Rle
    label: str


def draw_instances(image: UInt8[np.ndarray, "H W 3"], instances: Sequence[Instance]) -> Image.Image:
    """The image with all masks, small ones over large ones, labels on top of everything.

    An image whose shorter side is below 400 pixels is magnified by a whole number. Each instance
    has the colour of its place in `instances`, so the same list is always drawn alike.
    """
    height, width = image.shape[:2]
    scale = max(1, -(-_SMALLEST_SIDE // min(height, width)))
    size = (width * scale, height * scale)
    canvas = np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    areas = [int(mask_utils.area(instance.mask)) for instance in instances]
    order = sorted(np.flatnonzero(areas).tolist(), key=lambda index: -areas[index])
    thickness = max(1.5, min(size) / 300)
    for index in order:
        _draw_mask(canvas, instances[index].mask, _colour(index), scale, thickness)
    picture = Image.fromarray(canvas)
    labelled = [(instances[index], _colour(index)) for index in order if instances[index].label]
    _draw_labels(picture, labelled, scale)
    return picture


def _draw_mask(
    canvas: UInt8[np.ndarray, "h w 3"], mask: Rle, colour: _Colour, scale: int, thickness: float
) -> None:
    """Blend one mask into the canvas; only the rectangle around it is worked on."""
    left, top, width, height = (int(value) for value in mask_utils.toBbox(mask))
    whole = decode_segmentation(mask, tuple(mask["size"]))
    crop = Image.fromarray(whole[top : top + height, left : left + width] * 255)
    crop = crop.resize((width * scale, height * scale), Image.Resampling.BILINEAR)
    margin = int(2 * thickness) + 1
    padded = Image.new("L", (crop.width + 2 * margin, crop.height + 2 * margin))
    padded.paste(crop, (margin, margin))
    inside = np.asarray(padded, np.float32) / 255
    soft = np.asarray(padded.filter(ImageFilter.GaussianBlur(thickness)), np.float32) / 255
    outline = np.clip((0.3 - np.abs(soft - 0.5)) * 5, 0, 1)  # the blurred edge crosses one half
    share = np.maximum(inside * _FILL, outline)

    x, y = left * scale - margin, top * scale - margin
    rows = slice(max(y, 0), min(y + share.shape[0], canvas.shape[0]))
    columns = slice(max(x, 0), min(x + share.shape[1], canvas.shape[1]))
    part = share[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x, None]
    below = canvas[rows, columns]
    canvas[rows, columns] = np.rint(below + part * (np.array(colour, np.float32) - below))


def _draw_labels(
    picture: Image.Image, labelled: Sequence[tuple[Instance, _Colour]], scale: int
) -> None:
    """Write each label at its mask, where it fits into the picture and hides no other label."""
    font = ImageFont.load_default(size=max(11, round(min(picture.size) / 34)))
    draw = ImageDraw.Draw(picture)
    taken: list[_Box] = []
    for instance, colour in labelled:
        ink = draw.textbbox((0, 0), instance.label, font=font)
        width, height = int(ink[2] - ink[0]) + 6, int(ink[3] - ink[1]) + 6
        left, top, mask_width, mask_height = (
            int(value) * scale for value in mask_utils.toBbox(instance.mask)
        )
        places = list(_places((left, top, mask_width, mask_height), (width, height), picture.size))
        free = [place for place in places if not any(_overlap(place, other) for other in taken)]
        x0, y0, x1, y1 = place = (free or places)[0]
        taken.append(place)
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
        dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
        text_at = (x0 + 3 - ink[0], y0 + 3 - ink[1])
        draw.text(text_at, instance.label, fill="white" if dark else "black", font=font)


def _places(
    mask_xywh: _Box, label_wh: tuple[int, int], picture_wh: tuple[int, int]
) -> Iterator[_Box]:
    """Where a label may go, best first: above its mask, on it, below it, and farther away."""
    left, top, mask_width, mask_height = mask_xywh
    width, height = label_wh
    bottom = top + mask_height
    on_mask = (top, top + (mask_height - height) // 2, bottom - height)
    farther = (y for step in (1, 2, 3) for y in (top - (step + 1) * height, bottom + step * height))
    for y in (top - height, *on_mask, bottom, *farther):
        for x in (left, left + (mask_width - width) // 2, left + mask_width - width):
            x0 = max(0, min(x, picture_wh[0] - width))
            y0 = max(0, min(y, picture_wh[1] - height))
            yield x0, y0, x0 + width, y0 + height


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _colour(index: int) -> _Colour:
    """A vivid colour, far in hue from those of the neighbouring indices."""
    lightness = (0.55, 0.68, 0.45)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(index * _GOLDEN % 1, lightness, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
