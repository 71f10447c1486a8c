"""What a metric says of some detections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figures:
    """Numbers between 0 and 1; None where the annotations hold nothing to be found.

    Attributes:
        overall: over all categories, by the figure's name, such as "ap" and "ap_small".
        per_category: the first of them for each category id.
        curves: what a metric would plot, each by its name: values at equal steps.
        intervals: 95 % confidence intervals of `overall`, where they were computed.
    """

    overall: dict[str, float | None]
    per_category: dict[int, float | None]
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict, repr=False)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def ap(self) -> float | None:
        """The first of the overall figures."""
        return next(iter(self.overall.values()))
