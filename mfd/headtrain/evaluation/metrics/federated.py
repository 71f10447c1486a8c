"""AP by the rules of LVIS, as vernier computes it (Gupta et al. 2019).

A detection counts only where its category was looked for: in images that have objects of it, or are
said to have none. Where not all of its objects are annotated, detections that match none are
ignored. Of an image the 300 best detections count, of all categories together.
"""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from mfd.errors import DataError
from mfd.headtrain.evaluation.metrics.evaluators import Kind, vernier
from mfd.text import first_line

MAX_DETECTIONS = 300  # of an image
_BOUNDARY = 0.008  # width of a boundary in diagonals of the image, as Cheng et al. have it for LVIS


class FederatedEval:
    """The part of COCOeval's interface that figures and resamples are made from.

    Raises:
        ConfigError: vernier is not installed.
    """

    def __init__(self, truth: COCO, found: COCO, kind: Kind) -> None:
        self._core = vernier("vernier._core")
        self.cocoGt, self._found, self._kind = truth, found, kind
        self.params = SimpleNamespace(
            imgIds=sorted(truth.imgs),
            catIds=sorted(truth.cats),
            iouThrs=np.linspace(0.5, 0.95, 10),
            recThrs=np.linspace(0.0, 1.0, 101),
            areaRng=("all", "small", "medium", "large"),
        )
        self.eval: dict[str, Any] = {}

    def evaluate(self) -> None:
        """Match the detections.

        Raises:
            DataError: annotations and what is said of their images do not agree.
        """
        content = self.cocoGt.dataset
        known = [{"frequency": "f", **category} for category in content["categories"]]
        text = json.dumps({**content, "categories": known}, default=_text).encode()
        try:
            truth = self._core.CocoDataset.from_lvis_json(text)
        except ValueError as error:
            raise DataError(
                f"the annotations contradict what is said of their images ({first_line(error)}); "
                "correct neg_category_ids and not_exhaustive_category_ids"
            ) from error
        match = getattr(self._core, f"evaluate_{self._kind}_grid")
        self._grid = match(
            truth,
            self._found.dataset["annotations"],
            parity_mode="strict",
            max_dets_per_image=MAX_DETECTIONS,
            use_cats=True,
            dt_area="supplied",
            retain_meta=True,
            **({"dilation_ratio": _BOUNDARY} if self._kind == "boundary" else {}),
        )

    def accumulate(self) -> None:
        """Precision over recalls."""
        self.eval = {"precision": np.asarray(self._grid.accumulate([MAX_DETECTIONS]).precision)}

    @property
    def evalImgs(self) -> list[dict[str, Any] | None]:  # noqa: N802 - pycocotools' name
        """The matches of each category, size and image."""
        return self._grid.eval_imgs()


def _text(value: Any) -> Any:
    """What JSON does not know: run lengths, and NumPy's numbers."""
    return value.decode() if isinstance(value, bytes) else value.item()
