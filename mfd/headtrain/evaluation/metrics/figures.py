"""What a metric says of some detections."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Numbers between 0 and 1; None where the annotations hold nothing to be found.

    Attributes:
        overall: over all categories, by the figure's name, such as "ap" and "ap_small".
        per_category: the first of them for each category id.
    """

    overall: dict[str, float | None]
    per_category: dict[int, float | None]

    @property
    def ap(self) -> float | None:
        """The first of the overall figures."""
        return next(iter(self.overall.values()))
