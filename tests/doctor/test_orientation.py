"""To which pixels labels belong, by sizes or by what a detector finds on either."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mfd.coco import Annotation, Annotations, CocoDataset, ImageEntry
from mfd.config import Exif
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
    exif: Exif,
    square: bool = False,
) -> tuple[Report, list[CocoDataset]]:
    """The report on two images, one of them turned; and the data sets the detector was tried on."""
    save(folder / "plain.jpg", 1)
    save(folder / "turned.jpg", orientation, (37, 37) if square else (37, 53))
    found = Annotation(1, 2, 1, (1.0, 2.0, 3.0, 4.0), 12.0, False, None)
    both = Annotations.of((found, replace(found, image_id=1)))
    images = (ImageEntry(1, "plain.jpg", (37, 53)), ImageEntry(2, "turned.jpg", annotated_hw))
    dataset = CocoDataset(None, folder, images, {1: "a"}, both)
    tried = []

    def check(subset: CocoDataset, exif: Exif) -> DetectionCheck:
        tried.append(subset)
        return DetectionCheck(1, 10, recalled[exif == "apply"], 0)

    report = Report()
    examine_orientation(report, "val", dataset, exif, check)
    return report, tried


@pytest.mark.parametrize("exif", ["ignore", "apply"])
@pytest.mark.parametrize(
    ("recalled", "where"), [((1, 9), "upright"), ((9, 1), "stored"), ((5, 6), "not clear")]
)
def test_the_detector_tells_which_pixels_labels_of_the_same_size_belong_to(
    recalled: tuple[int, int], where: str, exif: Exif, tmp_path: Path
) -> None:
    (line,), tried = examined(
        tmp_path, orientation=3, annotated_hw=(37, 53), recalled=recalled, exif=exif
    )
    assert [[entry.file_name for entry in each.images] for each in tried] == [["turned.jpg"]] * 2
    assert "1 of 2 images tried are stored turned" in line.text
    assert "(turned.jpg)" in line.text
    assert where in line.text
    assert line.good == (where in ("not clear", "upright" if exif == "apply" else "stored"))


@pytest.mark.parametrize("annotated_hw", [(53, 37), (37, 53)])
def test_sizes_tell_it_where_they_differ(annotated_hw: tuple[int, int], tmp_path: Path) -> None:
    (line,), tried = examined(
        tmp_path, orientation=8, annotated_hw=annotated_hw, recalled=(0, 0), exif="ignore"
    )
    assert not tried
    assert line.good == (annotated_hw == (37, 53))


def test_a_square_image_is_tried(tmp_path: Path) -> None:
    (line,), tried = examined(
        tmp_path, orientation=6, annotated_hw=(37, 37), recalled=(0, 9), exif="ignore", square=True
    )
    assert len(tried) == 2
    assert not line.good


def test_nothing_is_said_without_turned_images(tmp_path: Path) -> None:
    report, tried = examined(
        tmp_path, orientation=1, annotated_hw=(37, 53), recalled=(0, 9), exif="ignore"
    )
    assert (list(report), tried) == ([], [])


def test_labels_of_both_kinds_are_a_fault(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        save(tmp_path / name, 6)
    images = (ImageEntry(1, "1.jpg", (37, 53)), ImageEntry(2, "2.jpg", (53, 37)))
    report = Report()
    examine_orientation(
        report,
        "val",
        CocoDataset(None, tmp_path, images, {1: "a"}, Annotations.of()),
        "apply",
        None,
    )
    (line,) = report
    assert "by their sizes 1 have labels of the upright pixels, 1 of the stored ones" in line.text
    assert not line.good


def test_without_a_detector_labels_of_the_same_size_stay_unclear(tmp_path: Path) -> None:
    save(tmp_path / "1.jpg", 3)
    images = (ImageEntry(1, "1.jpg", (37, 53)),)
    report = Report()
    examine_orientation(
        report,
        "val",
        CocoDataset(None, tmp_path, images, {1: "a"}, Annotations.of()),
        "ignore",
        None,
    )
    (line,) = report
    assert "is not clear: no detector was tried on them" in line.text


def turn(path: Path, way: int, stored: Image.Transpose) -> None:
    """Store the image turned, with the EXIF orientation that makes it upright again."""
    exif = Image.Exif()
    exif[0x0112] = way
    Image.open(path).transpose(stored).save(path, exif=exif, quality=97)


def test_labels_of_upright_pixels_are_known_by_what_the_detector_finds(
    faults: Callable[..., str], images: Path
) -> None:
    for path in sorted(images.iterdir())[:4]:
        turn(path, 3, Image.Transpose.ROTATE_180)
    found = faults(lambda content: None, images)
    assert "4 of 9 images tried are stored turned" in found
    assert "their labels belong to the upright pixels" in found
    assert 'set exif = "apply"' in found


def test_labels_of_stored_pixels_are_left_alone(faults: Callable[..., str], images: Path) -> None:
    for path in sorted(images.iterdir())[:4]:
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.open(path).save(path, exif=exif, quality=97)
    assert faults(lambda content: None, images) == ""


def test_labels_of_turned_sizes_name_the_switch(faults: Callable[..., str], images: Path) -> None:
    for path in images.iterdir():
        turn(path, 6, Image.Transpose.ROTATE_90)
    assert 'belong to the upright pixels; set exif = "apply"' in faults(lambda c: None, images)
