"""Masks drawn over their image: a colour for each, a smooth outline, a label that can be read."""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from pycocotools import mask as mask_utils

from mfd.coco import decode_segmentation
from mfd.errors import ConfigError
from mfd.headtrain.inference.fonts import Font, readable
from mfd.headtrain.inference.paste import Rle

MAX_SCALE = 16
_MAX_PIXELS = 2**28  # of a magnified picture
_FILL = 0.45  # share of the colour inside a mask
_GOLDEN = 0.618034  # steps of hue that never come close to an earlier one
_FILL_SHARES = [round(value * _FILL) for value in range(256)]
# a blurred edge crosses one half at the outline
_OUTLINE_SHARES = [
    round(255 * min(max((0.3 - abs(value / 255 - 0.5)) * 5, 0), 1)) for value in range(256)
]
_MIN_FONT, _MAX_FONT = 9, 200  # pixels

_Box = tuple[int, int, int, int]
_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Instance:
    """A mask, of its image's size, and the text that goes with it, such as "cat 0.87".

    Attributes:
        colour: which one, as a number; None: that of its place among the instances.
    """

    mask: Rle
    label: str
    colour: int | None = None


def draw_instances(rgb: Image.Image, instances: Sequence[Instance], scale: int = 1) -> Image.Image:
    """The image with all masks, small ones over large ones, labels on top of everything.

    An instance that names no colour has that of its place in `instances`, so the same list is
    always drawn alike. A label is shortened or left out where the picture has no room for it.

    Args:
        scale: the picture has `scale` times the image's height and width, for small images.

    Raises:
        ConfigError: a scale out of range, or one that makes the picture too large.
    """
    if not 1 <= scale <= MAX_SCALE:
        raise ConfigError(f"scale must be 1 to {MAX_SCALE}, found {scale}")
    size = (rgb.width * scale, rgb.height * scale)
    if scale > 1 and size[0] * size[1] > _MAX_PIXELS:
        raise ConfigError(
            f"scale {scale} makes a picture of {size[0]} x {size[1]} pixels, at most "
            f"{_MAX_PIXELS} pixels are drawn; give a smaller scale"
        )
    picture = rgb.resize(size, Image.Resampling.BICUBIC) if scale > 1 else rgb.copy()
    areas = [int(mask_utils.area(instance.mask)) for instance in instances]
    order = sorted(np.flatnonzero(areas).tolist(), key=lambda index: -areas[index])
    thickness = max(1.5, min(size) / 300)
    colours = [_colour(n if i.colour is None else i.colour) for n, i in enumerate(instances)]
    for index in order:
        _draw_mask(picture, instances[index].mask, colours[index], scale, thickness)
    labelled = [(instances[index], colours[index]) for index in order if instances[index].label]
    _draw_labels(picture, labelled, scale)
    return picture


def _draw_mask(
    picture: Image.Image, mask: Rle, colour: _Colour, scale: int, thickness: float
) -> None:
    """Blend one mask into the picture; only the rectangle around it is worked on."""
    left, top, width, height = (int(value) for value in mask_utils.toBbox(mask))
    whole = decode_segmentation(mask, tuple(mask["size"]))
    crop = Image.fromarray(whole[top : top + height, left : left + width] * 255)
    crop = crop.resize((width * scale, height * scale), Image.Resampling.BILINEAR)
    margin = int(2 * thickness) + 1
    padded = Image.new("L", (crop.width + 2 * margin, crop.height + 2 * margin))
    padded.paste(crop, (margin, margin))
    outline = padded.filter(ImageFilter.GaussianBlur(thickness)).point(_OUTLINE_SHARES)
    share = ImageChops.lighter(padded.point(_FILL_SHARES), outline)
    picture.paste(colour, (left * scale - margin, top * scale - margin), share)


def _draw_labels(
    picture: Image.Image, labelled: Sequence[tuple[Instance, _Colour]], scale: int
) -> None:
    """Write each label at its mask, where it fits into the picture and hides no other label.

    A line leads from a label that had to go farther away to its mask.
    """
    draw = ImageDraw.Draw(picture)
    size = min(max(11, round(min(picture.size) / 34)), _MAX_FONT)
    taken: list[_Box] = []
    written = []
    for instance, colour in labelled:
        fitted = _fit(draw, instance.label, size, picture.size)
        if fitted is None:
            continue
        label, font, ink = fitted
        width, height = ink[2] - ink[0] + 6, ink[3] - ink[1] + 6
        left, top, mask_width, mask_height = (
            int(value) * scale for value in mask_utils.toBbox(instance.mask)
        )
        places = list(_places((left, top, mask_width, mask_height), (width, height), picture.size))
        place = _freest(places, taken)
        taken.append(place)
        written.append((place, label, font, ink, colour))
        mask_box = (left, top, left + mask_width, top + mask_height)
        if not _common(_grown(mask_box), place):
            draw.line((*_centre(place), *_centre(mask_box)), fill=colour, width=max(1, size // 8))
    for (x0, y0, x1, y1), label, font, ink, colour in written:
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
        dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
        text_at = (x0 + 3 - ink[0], y0 + 3 - ink[1])
        draw.text(text_at, label, fill="white" if dark else "black", font=font)


def _fit(
    draw: ImageDraw.ImageDraw, label: str, size: int, picture_wh: tuple[int, int]
) -> tuple[str, Font, _Box] | None:
    """The label, its font and its ink, smaller or shortened if it must be; None without room."""
    for font_size in range(size, _MIN_FONT - 1, -1):
        text, font = readable(label, font_size)
        ink = _ink(draw, text, font)
        if _fits(ink, picture_wh):
            return text, font, ink
    for length in range(len(text) - 1, 0, -1):
        ink = _ink(draw, shortened := f"{text[:length]}...", font)
        if _fits(ink, picture_wh):
            return shortened, font, ink
    return None


def _ink(draw: ImageDraw.ImageDraw, text: str, font: Font) -> _Box:
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return int(left), int(top), int(right), int(bottom)


def _fits(ink: _Box, picture_wh: tuple[int, int]) -> bool:
    return ink[2] - ink[0] + 6 <= picture_wh[0] and ink[3] - ink[1] + 6 <= picture_wh[1]


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


def _freest(places: Sequence[_Box], taken: Sequence[_Box]) -> _Box:
    """The first place that covers least of what is taken: nothing, where there is room."""
    return min(places, key=lambda place: sum(_common(place, other) for other in taken))


def _grown(box: _Box) -> _Box:
    return box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1


def _centre(box: _Box) -> tuple[int, int]:
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2


def _common(a: _Box, b: _Box) -> int:
    """Pixels that two boxes have in common."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _colour(index: int) -> _Colour:
    """A vivid colour, far in hue from those of the neighbouring indices."""
    lightness = (0.55, 0.68, 0.45)[index % 3]
    red, green, blue = colorsys.hls_to_rgb(index * _GOLDEN % 1, lightness, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
