"""The matches behind an AP, kept so that it can be computed again for other weights of the images.

An image of weight w counts as if it were there w times: AP of a resample of the images needs no
further matching, since detections are matched within their image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mfd.headtrain.evaluation.metrics.coco import columns_by_frequency, overall

_CHUNK = 32  # weightings at a time: bounds the memory to 83 MB for 80 categories


@dataclass(frozen=True)
class _Cell:
    """One category and size over all images, detections that count by falling score.

    Attributes:
        matched: at each IoU threshold, with objects that count.
        ignored: at each IoU threshold, on crowds or objects of another size; at some threshold,
            every detection counts.
        image: place of each detection's image.
        objects: that count, of each image.
    """

    matched: Bool[np.ndarray, "T D"]
    ignored: Bool[np.ndarray, "T D"]
    image: Int[np.ndarray, " D"]
    objects: Int[np.ndarray, " I"]

    @classmethod
    def of(cls, images: Sequence[Mapping[str, Any] | None]) -> "_Cell":
        """From COCOeval's entries of the cell, one for each image."""
        left_out = [np.asarray(each["gtIgnore"] if each else ()) for each in images]
        objects = np.array([np.count_nonzero(flags == 0) for flags in left_out])
        found = [
            (place, each) for place, each in enumerate(images) if each and len(each["dtScores"])
        ]
        if not found:
            none = np.zeros((0, 0), bool)
            return cls(none, none, np.zeros(0, int), objects)
        scores = np.concatenate([each["dtScores"] for _, each in found])
        best_first = np.argsort(-scores, kind="mergesort")  # stable, as pycocotools sorts
        ignored, matched = (
            np.concatenate([each[key] for _, each in found], 1).astype(bool)[:, best_first]
            for key in ("dtIgnore", "dtMatches")
        )
        image = np.concatenate([np.full(len(each["dtScores"]), place) for place, each in found])
        used = ~ignored.all(0)
        matched, ignored = matched[:, used], ignored[:, used]
        return cls(matched & ~ignored, ignored, image[best_first][used], objects)

    def precision(
        self, weights: Int[np.ndarray, "W I"], recalls: Float[np.ndarray, " R"]
    ) -> Iterator[tuple[int, Float[np.ndarray, "W R"]]]:
        """Threshold and interpolated precision at each recall, where there are matches.

        Only matches raise the recall, and precision falls between them, so that they are the only
        places where it is read. pycocotools' sums and quotients, hence its very numbers.
        """
        total = weights @ self.objects  # (W)
        weight = weights[:, self.image]  # (W, D)
        so_far = weight.cumsum(1)
        at_thresholds = zip(self.matched, self.ignored, strict=True)
        for threshold, (matched, ignored) in enumerate(at_thresholds):
            places = np.flatnonzero(matched)
            if not len(places):
                continue
            right = weight[:, places].cumsum(1)
            listed = so_far[:, places] - _sum_before(places, weight, np.flatnonzero(ignored))
            with np.errstate(divide="ignore", invalid="ignore"):  # no object in a resample
                recall = right / total[:, None]
            precision = right / (listed + np.spacing(1))
            best_after = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
            yield threshold, _read(best_after, np.nan_to_num(recall), recalls)


class Matches:
    """What an evaluation matched, by category and size.

    Args:
        evaluation: of `scored`.
    """

    def __init__(self, evaluation: Any) -> None:
        params = evaluation.params
        self.images = len(params.imgIds)
        self._recalls = np.asarray(params.recThrs)
        self._shape = (len(params.iouThrs), len(params.recThrs))
        self._sizes = len(params.areaRng)
        self._columns = columns_by_frequency(evaluation)
        entries = iter(evaluation.evalImgs)  # categories, then sizes, then images
        self._cells = [
            [_Cell.of([next(entries) for _ in range(self.images)]) for _ in range(self._sizes)]
            for _ in range(len(params.catIds))
        ]

    def figures(self, weights: Int[np.ndarray, "W I"]) -> list[dict[str, float | None]]:
        """COCO's six figures for each weighting of the images; those of `scored` if all are 1."""
        found = []
        buffer = np.empty((_CHUNK, len(self._cells), self._sizes, *self._shape))  # W K A T R
        for first in range(0, len(weights), _CHUNK):
            chunk = weights[first : first + _CHUNK]
            precision = buffer[: len(chunk)]
            self._accumulate(chunk, precision)
            found += [overall(each.transpose(2, 3, 0, 1), self._columns) for each in precision]
        return found

    def _accumulate(
        self, weights: Int[np.ndarray, "W I"], precision: Float[np.ndarray, "W K A T R"]
    ) -> None:
        """Fill in COCOeval's precision: -1 where there is nothing to be found."""
        precision.fill(-1.0)
        for column, cells in enumerate(self._cells):
            for size, cell in enumerate(cells):
                defined = weights @ cell.objects > 0
                precision[defined, column, size] = 0.0
                for threshold, values in cell.precision(weights, self._recalls):
                    precision[defined, column, size, threshold] = values[defined]


def _sum_before(
    places: Int[np.ndarray, " P"], weight: Int[np.ndarray, "W D"], chosen: Int[np.ndarray, " C"]
) -> Int[np.ndarray, "W P"]:
    """The weight of the chosen detections before each place."""
    sums = np.zeros((len(weight), len(chosen) + 1), weight.dtype)
    weight[:, chosen].cumsum(1, out=sums[:, 1:])
    return sums[:, np.searchsorted(chosen, places)]


def _read(
    precision: Float[np.ndarray, "W P"],
    recall: Float[np.ndarray, "W P"],
    recalls: Float[np.ndarray, " R"],
) -> Float[np.ndarray, "W R"]:
    """The precision where each recall is first reached, 0 where it never is."""
    num, width = len(precision), len(recalls) + 1
    reached = np.searchsorted(recalls, recall, side="right")  # how many of them; rises along P
    flat = (np.arange(num)[:, None] * width + reached).ravel()
    counts = np.bincount(flat, minlength=num * width).reshape(num, width)
    first = counts[:, :-1].cumsum(1)  # matches that do not reach it
    beyond = np.concatenate((precision, np.zeros((num, 1))), 1)
    return np.take_along_axis(beyond, first, 1)
