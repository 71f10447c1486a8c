"""Tables of a report: cells with a text, a value to sort by, and a difference where one is due."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is shown.
        key: what the table is sorted by.
        change: a smaller text beside it: a difference to another run, or an interval.
        direction: of the change, a class of the page's style: up, down, or none.
    """

    text: str
    key: str = ""
    change: str = ""
    direction: str = ""


@dataclass(frozen=True)
class Table:
    """A table; a click on a column's head sorts it where it is sortable."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False


def text(value: object) -> Cell:
    """A cell of text, sorted by it."""
    return Cell(str(value), str(value))


def number(value: float | None, places: int = 0) -> Cell:
    """A cell of a number; a dash for none, which is sorted last."""
    if value is None:
        return Cell("-", "-1")
    return Cell(f"{value:,.{places}f}", str(value))


def average_precision(value: float | None, reference: float | None = None) -> Cell:
    """AP to three places and, where a reference is given, the difference to it."""
    cell = number(value, 3)
    if value is None or reference is None:
        return cell
    return Cell(cell.text, cell.key, f"{value - reference:+.3f}")


def difference(value: float | None, interval: tuple[float, float] | None) -> Cell:
    """A difference and its interval, which has a direction unless it holds 0."""
    if value is None:
        return number(None)
    shown = f"{value:+.3f}"
    if interval is None:
        return Cell(shown, str(value))
    low, high = interval
    direction = "up" if low > 0 else "down" if high < 0 else ""
    return Cell(shown, str(value), f"{low:+.3f} to {high:+.3f}", direction)
