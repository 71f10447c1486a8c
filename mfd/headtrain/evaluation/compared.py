"""Other models that make masks of the detector's boxes, to be measured beside a head."""

from collections.abc import Iterator
from typing import Protocol

from mfd.headtrain.evaluation.results import Entry
from mfd.headtrain.inference.select import Candidates


class Compared(Protocol):
    """A model to compare with."""

    def entries(self, chosen: Candidates) -> Iterator[Entry]:
        """A mask for each of an image's candidates, in their order.

        Raises:
            MfdError: the image cannot be used.
        """
        ...
