"""Line charts as SVG that takes its colours from the page's style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mfd.report.templates import render

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40


@dataclass(frozen=True)
class Series:
    """A named line; points (x, y) where y is None are gaps.

    Attributes:
        dashed: drawn so.
        dots: a dot at every point.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    dashed: bool = False
    dots: bool = False


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """All lines in one chart, with a legend below it.

    Args:
        x_range: of the axis; by default from the first to the last x.
        y_range: likewise; by default from 0 to the largest y.
    """
    drawn = [
        (line, [(x, y) for x, y in line.points if y is not None and math.isfinite(y)])
        for line in series
    ]
    points = [point for _, found in drawn for point in found]
    if not points:
        return Markup('<p class="empty">Nothing to draw.</p>')
    x0, x1 = x_range or _span([x for x, _ in points], low=min(x for x, _ in points))
    y0, y1 = y_range or _span([y for _, y in points], low=0.0)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        left = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        return round(left, 1), round(_HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM), 1)

    return render(
        "chart.html",
        width=_WIDTH,
        height=_HEIGHT,
        right=_WIDTH - _RIGHT,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[(tick, *place(tick, y0)) for tick in ticks(x0, x1)],
        y_ticks=[(tick, *place(x0, tick)) for tick in ticks(y0, y1)],
        lines=[
            {
                "name": line.name,
                "style": f"s{number % 6}{' dashed' if line.dashed else ''}",
                "dots": line.dots or len(found) == 1,
                "points": [place(x, y) for x, y in found],
            }
            for number, (line, found) in enumerate(drawn)
        ],
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, three to seven of them."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(step * k, 10) for k in range(first, last + 1)]


def _span(values: Sequence[float], low: float) -> tuple[float, float]:
    high = max(values)
    return low, high if high > low else low + 1.0
