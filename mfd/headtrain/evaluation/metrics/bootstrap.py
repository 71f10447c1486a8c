"""How far figures depend on which images were drawn: the bootstrap over images (Efron 1979)."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

Overall = Mapping[str, float | None]
Interval = tuple[float, float]

COVERAGE = 0.95


def draw_images(images: int, count: int, seed: int) -> Int[np.ndarray, "count images"]:
    """How often each image is in each of `count` resamples: `images` draws with replacement."""
    drawn = np.random.default_rng(seed).integers(images, size=(count, images))
    return np.stack([np.bincount(each, minlength=images) for each in drawn])


def intervals(measured: Overall, samples: Sequence[Overall]) -> dict[str, Interval]:
    """95 % confidence intervals of figures, from their values in resamples.

    The basic bootstrap: as far below and above the figure as its value in resamples lies above and
    below it. AP in resamples is a little too high where a category has few objects, since it
    counts only where one of them was drawn; the interval is turned the other way.

    Args:
        samples: a resample in which a figure is undefined does not count.
    """
    found = {}
    for name, value in measured.items():
        values = [drawn for each in samples if (drawn := each[name]) is not None]
        if values and value is not None:
            low, high = np.quantile(values, ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)).tolist()
            found[name] = (2 * value - high, 2 * value - low)
    return found


def difference(first: Overall, second: Overall) -> dict[str, float | None]:
    """The second less the first; none where either is undefined."""
    return {
        name: None if value is None or (other := second[name]) is None else other - value
        for name, value in first.items()
    }
