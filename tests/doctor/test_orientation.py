"""To which pixels labels belong, by sizes or by what a detector finds on either."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.coco import Annotation, CocoDataset, ImageEntry
from mfd.doctor.detections import DetectionCheck
from mfd.doctor.orientation import examine_orientation
from mfd.doctor.report import Report


def save(path: Path, orientation: int, size_hw: tuple[int, int] = (37, 53)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((*size_hw, 3), np.uint8)).save(path, exif=exif)


def examined(
    folder: Path,
    *,
    orientation: int,
    annotated_hw: tuple[int, int],
    recalled: tuple[int, int],
    upright: bool,
    square: bool = False,
) -> tuple[Report, list[CocoDataset]]:
    """The report on two images, one of them turned; and the data sets the detector was tried on."""
    save(folder / "plain.jpg", 1)
    save(folder / "turned.jpg", orientation, (37, 37) if square else (37, 53))
    found = Annotation(1, 2, 1, (1.0, 2.0, 3.0, 4.0), 12.0, False, None)
    images = (ImageEntry(1, "plain.jpg", (37, 53)), ImageEntry(2, "turned.jpg", annotated_hw))
    dataset = CocoDataset(None, folder, images, {1: "a"}, {1: (found,), 2: (found,)})
    tried = []

    def check(subset: CocoDataset, upright: bool) -> DetectionCheck:
        tried.append(subset)
        return DetectionCheck(1, 10, recalled[upright], 0)

    report = Report()
    examine_orientation(report, "val", dataset, upright, check)
    return report, tried


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(
    ("recalled", "where"), [((1, 9), "upright"), ((9, 1), "stored"), ((5, 6), "not clear")]
)
def test_the_detector_tells_which_pixels_labels_of_the_same_size_belong_to(
    recalled: tuple[int, int], where: str, upright: bool, tmp_path: Path
) -> None:
    (line,), tried = examined(
        tmp_path, orientation=3, annotated_hw=(37, 53), recalled=recalled, upright=upright
    )
    assert [[entry.file_name for entry in each.images] for each in tried] == [["turned.jpg"]] * 2
    assert "1 of 2 images tried are stored turned" in line.text
    assert "(turned.jpg)" in line.text
    assert where in line.text
    assert line.good == (where in ("not clear", "upright" if upright else "stored"))


@pytest.mark.parametrize("annotated_hw", [(53, 37), (37, 53)])
def test_sizes_tell_it_where_they_differ(annotated_hw: tuple[int, int], tmp_path: Path) -> None:
    (line,), tried = examined(
        tmp_path, orientation=8, annotated_hw=annotated_hw, recalled=(0, 0), upright=False
    )
    assert not tried
    assert line.good == (annotated_hw == (37, 53))


def test_a_square_image_is_tried(tmp_path: Path) -> None:
    (line,), tried = examined(
        tmp_path, orientation=6, annotated_hw=(37, 37), recalled=(0, 9), upright=False, square=True
    )
    assert len(tried) == 2
    assert not line.good


def test_nothing_is_said_without_turned_images(tmp_path: Path) -> None:
    report, tried = examined(
        tmp_path, orientation=1, annotated_hw=(37, 53), recalled=(0, 9), upright=False
    )
    assert (list(report), tried) == ([], [])
