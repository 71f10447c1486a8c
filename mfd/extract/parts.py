"""Several processes that fill one store: which of them makes which units."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mfd.cache import StoreWriter
from mfd.distributed import launched
from mfd.errors import ConfigError
from mfd.extract.features import WINDOW_UNITS
from mfd.locks import locks_wanted


@dataclass(frozen=True)
class Part:
    """One of the parts that an extraction is divided into: `number` from 1 to `count`.

    Every `count`th window of units belongs to it, so that the parts are done at the same time.

    Attributes:
        watches: whether its process speaks for all that a launcher started with it, so that it
            stays until the store is complete.
    """

    number: int = 1
    count: int = 1
    watches: bool = False

    @classmethod
    def parse(cls, text: str | None) -> "Part":
        """The part called "I/N"; None: the one that a launcher says this process is.

        Raises:
            ConfigError: there is no such part.
        """
        if text is None:
            rank, size = launched()
            return cls(rank + 1, size, watches=rank == 0 and size > 1)
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"there is no part {text!r}; expected 1/4 for the first of four")
        return cls(int(found[1]), int(found[2]))

    def owns(self, unit: int) -> bool:
        """Whether the unit is one of this part."""
        return unit // WINDOW_UNITS % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def windows(num_units: int) -> list[range]:
    """The units of each window, also those that are finished.

    An interrupted extraction, and one in parts, then makes the batches of one that is neither, and
    the same bytes.
    """
    firsts = range(0, num_units, WINDOW_UNITS)
    return [range(first, min(first + WINDOW_UNITS, num_units)) for first in firsts]


def claimed_windows(writer: StoreWriter, part: Part) -> Iterator[range]:
    """Windows with units that no process has finished or works on, now claimed by this one.

    First those of the part; then those of other parts, from the last, whose processes may have
    begun late, be slow, or be dead. File systems without locks have no claims: there only the
    first.
    """
    own: list[range] = []
    others: list[range] = []
    for window in windows(writer.num_units):
        (own if part.owns(window[0]) else others).append(window)
    for window in (*own, *(reversed(others) if locks_wanted() else ())):
        if writer.claim(window):
            yield window
