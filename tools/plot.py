"""Scatter plots as SVG: readable in light and dark, and at the width of a phone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT = 480, 330  # of one plot, its title and legend included
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 40, 44
_LINE = 18

_STYLE = """
    .paper { fill: #ffffff; stroke: #e4e7ec; } .grid { stroke: #e4e7ec; }
    text { fill: #1d2230; font: 13px system-ui, sans-serif; } .title { font-weight: 600; }
    .faint { fill: #475467; } .spread { stroke: #98a2b3; stroke-width: 1.5; }
    .s0 { fill: #c4571f; } .s1 { fill: #2462b4; } .s2 { fill: #2e8c57; } .s3 { fill: #8c50aa; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #171b23; stroke: #2a303c; } .grid { stroke: #2a303c; }
      text { fill: #e6e9ef; } .faint { fill: #b0b8c6; }
      .s0 { fill: #ff9a66; } .s1 { fill: #6ea8ff; } .s2 { fill: #62d394; } .s3 { fill: #c896e8; }
    }
  """


Side = Literal["left", "right", "below"]


@dataclass(frozen=True)
class Point:
    """A point, what it is called, and where that is written."""

    x: float
    y: float
    label: str = ""
    side: Side = "right"


@dataclass(frozen=True)
class Axis:
    """What is shown along one direction.

    Attributes:
        label: quantity and unit.
        ends: least and largest value.
        ticks: values with a line and a number.
        log: whether steps are ratios.
    """

    label: str
    ends: tuple[float, float]
    ticks: Sequence[float]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, from 0 to 1.

        Raises:
            ValueError: it lies outside, where nobody would see it.
        """
        low, high = self.ends
        if not low <= value <= high:
            raise ValueError(f"{self.label}: {value} is outside of {low} to {high}")
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Plot:
    """Points of several series over two axes.

    Attributes:
        series: points by the name that the legend has.
        spread: half the height of a bar through every point; 0: none.
    """

    title: str
    x: Axis
    y: Axis
    series: Mapping[str, Sequence[Point]]
    spread: float = 0.0

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point is drawn, from the plot's left top."""
        across = _LEFT + self.x.share(point.x) * (WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT_INSIDE + _TOP - self.y.share(point.y) * _HEIGHT_INSIDE


_HEIGHT_INSIDE = HEIGHT - _TOP - _BOTTOM - 2 * _LINE


def drawing(plots: Sequence[Plot]) -> str:
    """One picture with the plots one above the other."""
    height = HEIGHT * len(plots)
    name = escape("; ".join(plot.title for plot in plots))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{name}">',
        f"  <style>{_STYLE}</style>",
        f'  <rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}"/>',
    ]
    for number, plot in enumerate(plots):
        parts.append(f'  <g transform="translate(0 {number * HEIGHT})">')
        parts += [f"    {line}" for line in _content(plot)]
        parts.append("  </g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _content(plot: Plot) -> Iterator[str]:
    yield _text(14, 24, plot.title, "title")
    bottom = _TOP + _HEIGHT_INSIDE
    for tick in plot.y.ticks:
        _, y = plot.place(Point(plot.x.ends[0], tick))
        yield _line(_LEFT, y, WIDTH - _RIGHT, y, "grid")
        yield _text(_LEFT - 8, y + 4, f"{tick:g}", "faint", "end")
    for tick in plot.x.ticks:
        x, _ = plot.place(Point(tick, plot.y.ends[0]))
        yield _line(x, _TOP, x, bottom, "grid")
        yield _text(x, bottom + 17, f"{tick:g}", "faint", "middle")
    yield _text(WIDTH - _RIGHT, bottom + 34, plot.x.label, "faint", "end")
    yield _text(14, bottom + 34, f"up: {plot.y.label}", "faint")
    for number, points in enumerate(plot.series.values()):
        for point in points:
            yield from _mark(plot, point, f"s{number}")
    yield from _legend(plot, bottom + 34 + _LINE)


def _mark(plot: Plot, point: Point, style: str) -> Iterator[str]:
    x, y = plot.place(point)
    if plot.spread:
        ends = (plot.place(Point(point.x, point.y + sign * plot.spread))[1] for sign in (-1, 1))
        yield _line(x, next(ends), x, next(ends), "spread")
    shown = f"{point.label}: {point.y:.4g} at {point.x:.4g}".lstrip(": ")
    circle = f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="5">'
    yield f"{circle}<title>{escape(shown)}</title></circle>"
    along, down, anchor = _LABELS[point.side]
    if point.label:
        yield _text(x + along, y + down, point.label, "", anchor)


_LABELS: Mapping[Side, tuple[float, float, str]] = {
    "left": (-9, 4, "end"),
    "right": (9, 4, "start"),
    "below": (9, 19, "start"),
}


def _legend(plot: Plot, y: float) -> Iterator[str]:
    """Names beside their marks, in two columns."""
    names = list(plot.series)
    width = (WIDTH - 28) / (2 if len(names) > 2 else 1)
    for number, name in enumerate(names):
        column, row = number % 2 if len(names) > 2 else 0, number // 2 if len(names) > 2 else number
        x, at = 20 + column * width, y + row * _LINE
        yield f'<circle class="s{number}" cx="{x:.1f}" cy="{at - 4:.1f}" r="5"/>'
        yield _text(x + 11, at, name)


def _text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> str:
    style = f' class="{style}"' if style else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
