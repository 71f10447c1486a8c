"""What any trained head must beat: boxes taken for masks, and the head that learns nothing."""

from collections.abc import Iterator
from dataclasses import replace

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.evaluation.results import Entry, scored_entries
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.paste import Rle, fill_box
from mfd.headtrain.inference.select import Candidates
from mfd.headtrain.presets.paper import find_preset


def filled_box_entries(chosen: Candidates) -> Iterator[Entry]:
    """The boxes as masks, with the detector's own scores."""
    filled: dict[int, Rle] = {}  # a query's categories share its box
    rows = zip(chosen.query_row.tolist(), chosen.boxes_xyxy, strict=True)
    for entry, (row, box_xyxy) in zip(scored_entries(chosen, chosen.scores), rows, strict=True):
        if row not in filled:
            filled[row] = fill_box(box_xyxy, chosen.size_hw)
        yield {**entry, "segmentation": filled[row]}


def untrained_head(spec: DetectorSpec, roi_size: int | None = None) -> MaskHead:
    """The paper's head without a parameter (table 1): queries times region features.

    The regions are of C1 and the finest encoder map where C1 has the encoder's width, so that it
    can be added as it is; of the encoder map alone elsewhere.

    Args:
        roi_size: rows and columns of a region, as of the head to compare with; None is the
            default of `HeadConfig`.
    """
    name = "baseline-roi-c1" if spec.c1_channels == spec.dim else "baseline-roi"
    size = HeadConfig().roi_size if roi_size is None else roi_size
    return MaskHead(replace(find_preset(name).config, roi_size=size), spec).eval()
