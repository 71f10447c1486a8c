"""A picture of numbers that change over time, drawn with Pillow."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SCALE = 2  # everything is drawn this much larger, so that lines are smooth on any screen
_SIZE = (760 * _SCALE, 420 * _SCALE)
_LEFT, _TOP, _RIGHT, _BOTTOM = (_SCALE * side for side in (64, 44, 24, 48))
_INK, _FAINT, _PAPER = (60, 64, 72), (226, 229, 234), (255, 255, 255)
_COLOURS = ((36, 98, 180), (214, 96, 40), (46, 140, 87), (140, 80, 170), (120, 120, 120))

Line = Sequence[tuple[float, float]]
"""Points (x, y), x rising."""


def draw_curves(lines: Mapping[str, Line], title: str, x_label: str) -> Image.Image:
    """One chart with every line in its own colour, its name in the legend; both axes linear.

    The vertical axis begins at zero. A line of one point is a dot.

    Raises:
        ValueError: no line has a point.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ValueError("there is nothing to draw: no line has a point")
    x_ticks = _ticks(max(x for x, _ in points))
    y_ticks = _ticks(max(y for _, y in points))
    picture = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13 * _SCALE)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = x / x_ticks[-1], y / y_ticks[-1]
        width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM
        return _LEFT + across * width, _SIZE[1] - _BOTTOM - up * height

    for y in y_ticks:
        draw.line([place(0, y), place(x_ticks[-1], y)], _FAINT, _SCALE)
        left, middle = place(0, y)
        draw.text((left - 8 * _SCALE, middle), f"{y:g}", _INK, font, anchor="rm")
    for x in x_ticks:
        middle, base = place(x, 0)
        draw.text((middle, base + 8 * _SCALE), f"{x:g}", _INK, font, anchor="mt")
    draw.text((_LEFT, 14 * _SCALE), title, _INK, ImageFont.load_default(16 * _SCALE))
    draw.text((_SIZE[0] - _RIGHT, _SIZE[1] - 8 * _SCALE), x_label, _INK, font, anchor="rb")

    right = _SIZE[0] - _RIGHT
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [place(x, y) for x, y in line]
        draw.line(placed, colour, 2 * _SCALE, joint="curve")
        for x, y in placed[:1] if len(placed) == 1 else []:
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), colour)
        top = _TOP + 18 * _SCALE * number
        draw.text((right, top), name, colour, font, anchor="rt")
    return picture


def smoothed(line: Line, window: int) -> list[tuple[float, float]]:
    """The line with every value replaced by the mean of the `window` values up to it."""
    values = np.array([y for _, y in line], dtype=float)
    sums = np.cumsum(np.insert(values, 0, 0.0))
    first = np.maximum(np.arange(len(values)) + 1 - window, 0)
    last = np.arange(len(values)) + 1
    means = (sums[last] - sums[first]) / (last - first)
    return [(x, mean) for (x, _), mean in zip(line, means.tolist(), strict=True)]


def _ticks(largest: float) -> list[float]:
    """Round numbers from 0 to at least `largest`, four to eight of them."""
    largest = largest if largest > 0 else 1.0
    power = 10.0 ** np.floor(np.log10(largest))
    step = next(s * power for s in (0.2, 0.25, 0.5, 1.0, 2.0) if largest <= 7 * s * power)
    return [float(round(step * k, 10)) for k in range(int(np.ceil(largest / step - 1e-9)) + 1)]
