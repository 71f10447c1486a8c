import json
from pathlib import Path

import pytest

from mfd.errors import DataError
from mfd.report.results import read_detections
from tests.report.test_judge import square


def write(folder: Path, boxes: list[tuple[int, int, float]], **changes: object) -> None:
    rle = {"size": [60, 80], "counts": square(1, 1, 9)["counts"].decode()}  # type: ignore[attr-defined]
    found = [
        {"image_id": i, "category_id": c, "score": s, "bbox": [1.0, 2.0, 3.0, i + 0.5]}
        for i, c, s in boxes
    ]
    masks = [{**entry, "segmentation": rle, "score": entry["score"] / 2} for entry in found]  # type: ignore[operator]
    masks[-1] |= changes
    (folder / "results_bbox.json").write_text(json.dumps(found))
    (folder / "results_segm.json").write_text(json.dumps(masks))


def test_box_and_mask_of_a_detection_are_put_together(tmp_path: Path) -> None:
    write(tmp_path, [(4, 1, 0.5), (4, 2, 0.8), (9, 1, 0.1), (9, 3, 0.6)])
    found = read_detections(tmp_path, 0.4)
    (best,), (other,) = found[4], found[9]  # of one box only the best category stays
    assert (best.category_id, best.class_score, best.quality) == (2, 0.8, 0.5)
    assert (other.category_id, other.bbox) == (3, (1.0, 2.0, 3.0, 9.5))


@pytest.mark.parametrize("changes", [{"image_id": 5}, {"category_id": 9}, {"score": "high"}])
def test_files_of_two_evaluations_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    write(tmp_path, [(4, 1, 0.5)], **changes)
    with pytest.raises(DataError, match="not of one evaluation"):
        read_detections(tmp_path, 0.0)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results_bbox\.json .*run `mfd evaluate` again"):
        read_detections(tmp_path, 0.0)
