"""Boxes, masks, areas and image sizes that contradict each other are named, sound ones are not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mfd.coco import (
    CocoDataset,
    Finding,
    check_consistency,
    read_dataset,
    repeated_files,
    require_consistent,
    split_paths,
)
from mfd.coco.extent import measure
from mfd.errors import DataError
from tests.builders.exports import (
    BOXES_IN_UNIT,
    CENTRE,
    CORNERS,
    POLYGONS_IN_UNIT,
    POLYGONS_SWAPPED,
    SWAPPED,
    SWAPPED_CORNERS,
    Content,
    Edit,
    area,
    boxes,
    edited,
    polygons,
    sound,
    without_mask,
    without_rle,
)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Content], CocoDataset]:
    def read(content: Content) -> CocoDataset:
        (tmp_path / "a.json").write_text(json.dumps(content))
        return read_dataset(tmp_path / "a.json", tmp_path)

    return read


WRONG: dict[str, tuple[tuple[Edit, ...], str]] = {
    "corners": ((CORNERS,), "boxes written as corners"),
    "centre": ((CENTRE,), "boxes written by their centre"),
    "unit": ((BOXES_IN_UNIT,), "boxes in 0..1"),
    "centre in unit": ((CENTRE, BOXES_IN_UNIT), "boxes in 0..1"),
    "y, x": ((SWAPPED,), "boxes in (y, x) order"),
    "y, x corners": ((SWAPPED_CORNERS,), "boxes written as corners in (y, x) order"),
    "larger boxes": (
        (boxes(lambda xy, wh, size: (1.7 * xy, 1.7 * wh)),),
        "boxes and masks of different resolutions",
    ),
    "polygons in percent": (
        (polygons(lambda points, size: 100 * points / size),),
        "boxes and masks of different resolutions",
    ),
    "polygons in unit": ((POLYGONS_IN_UNIT,), "polygons in 0..1"),
    "y, x polygons": ((POLYGONS_SWAPPED,), "polygons in (y, x) order"),
    "y, x both": (
        (SWAPPED, POLYGONS_SWAPPED, without_rle),
        "boxes and polygons in (y, x) order",
    ),
    "corners, no masks": ((CORNERS, without_mask), "boxes written as corners"),
    "centre, no masks": ((CENTRE, without_mask), "boxes written by their centre"),
    "unit, no masks": ((BOXES_IN_UNIT, without_mask), "boxes in 0..1"),
    "y, x, no masks": ((SWAPPED, without_mask), "boxes in (y, x) order"),
    "larger, no masks": (
        (boxes(lambda xy, wh, size: (3 * xy, 3 * wh)), without_mask),
        "boxes that reach out of their images",
    ),
    "negative areas": ((area(lambda a, box: -a),), "negative areas"),
}


def named(findings: list[Finding], kind: str) -> Finding:
    found = {finding.kind: finding for finding in findings}
    assert kind in found, str(sorted(found))
    return found[kind]


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("seed", range(3))
def test_a_file_that_is_wrong_throughout_is_certain_and_named_for_what_it_is(
    case: str, seed: int, read: Callable[[Content], CocoDataset]
) -> None:
    edits, kind = WRONG[case]
    dataset = read(edited(sound(seed), *edits))
    finding = named(check_consistency(dataset), kind)
    assert finding.certain
    assert finding.count >= 0.6 * finding.total
    assert finding.examples[0].startswith("annotation ")
    with pytest.raises(DataError, match=r"a\.json: ") as caught:
        require_consistent(dataset)
    assert kind in str(caught.value)
    assert "\n" not in str(caught.value)


LIKELY: dict[str, tuple[tuple[Edit, ...], str]] = {
    "constant areas": ((area(lambda a, box: 1.0),), "areas that are all 1"),
    "areas of 0": ((area(lambda a, box: 0),), "areas that are all 0"),
    "areas of a larger image": (
        (area(lambda a, box: 9 * a),),
        "areas far from those of masks and boxes",
    ),
    "areas in unit": (
        (area(lambda a, box: a / 9000),),
        "areas far from those of masks and boxes",
    ),
    "smaller images": (
        (
            boxes(lambda xy, wh, size: (xy / 2, wh / 2)),
            polygons(lambda points, size: points / 2),
            without_rle,
            area(lambda a, box: a / 4),
        ),
        "boxes in the upper left of their images only",
    ),
}


@pytest.mark.parametrize("case", LIKELY)
def test_what_may_be_right_is_told_and_stops_nothing(
    case: str, read: Callable[[Content], CocoDataset]
) -> None:
    edits, kind = LIKELY[case]
    findings = require_consistent(read(edited(sound(), *edits)))
    assert named(findings, kind).notable


def test_all_kinds_of_a_file_are_told_at_once(read: Callable[[Content], CocoDataset]) -> None:
    content = edited(sound(), CORNERS, POLYGONS_IN_UNIT, area(lambda a, box: -a))
    copies = [{**a, "id": a["id"] + 1000} for a in content["annotations"][:5]]
    content["annotations"] += copies
    content["images"].append({**content["images"][0], "id": 99})
    dataset = read(content)
    findings = (*repeated_files(dataset), *check_consistency(dataset))
    kinds = {finding.kind for finding in findings}
    assert kinds >= {
        "polygons in 0..1",
        "negative areas",
        "objects annotated twice",
        "image files under two ids",
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_file_has_no_findings(seed: int, read: Callable[[Content], CocoDataset]) -> None:
    content = sound(seed)
    assert check_consistency(read(content)) == []
    assert check_consistency(read(edited(content, without_mask))) == []
    assert check_consistency(read({**content, "annotations": []})) == []


def test_a_single_wrong_object_of_many_is_named_but_uncertain(
    read: Callable[[Content], CocoDataset],
) -> None:
    content = sound(per_image=120)
    victim = content["annotations"][50]
    x, y, width, height = victim["bbox"]
    victim["bbox"] = [x + 2 * width + 9, y, width, height]
    (finding,) = require_consistent(read(content))
    assert (finding.count, finding.examples) == (1, ("annotation 51 of image 1",))
    assert not finding.notable


def test_boxes_where_nothing_can_be_found_are_counted(
    read: Callable[[Content], CocoDataset],
) -> None:
    content = sound()
    first, second, *_ = content["annotations"][5:]
    first.update(bbox=[4, 5, 0, 7], segmentation=[])
    second.update(bbox=[500, 5, 9, 7], segmentation=[])
    findings = check_consistency(read(content))
    assert named(findings, "boxes of no width or height").count == 1
    assert named(findings, "boxes wholly outside of their images").count == 1


def test_files_of_one_content_are_one_image_whatever_their_names(
    read: Callable[[Content], CocoDataset],
) -> None:
    dataset = read(sound())
    absent = "0" * 64
    assert repeated_files(dataset, {1: "a", 3: absent}) == []
    assert repeated_files(dataset, {1: absent, 2: absent, 3: "b"}) == []
    assert repeated_files(dataset, {1: "content 1", 2: "content 10", 3: "0content 1"}) == []
    (finding,) = repeated_files(dataset, {1: "a", 2: "b", 3: "a"})
    assert (finding.count, finding.total) == (1, 3)
    assert finding.examples == ("images 1 and 3, 3.jpg",)


def test_extents_and_areas_are_those_of_the_masks(
    read: Callable[[Content], CocoDataset],
) -> None:
    content = sound()
    square, second = [10, 10, 30, 10, 30, 40, 10, 40], [[50, 5], [60, 5], [60, 25]]
    content["annotations"][7].update(segmentation=[square, second])
    content["annotations"][8].update(segmentation=None)
    dataset = read(content)
    objects = measure(dataset.annotations.of_images([1]), dataset.images)
    assert objects.extents_xyxy[7].tolist() == [10, 5, 60, 40]
    assert objects.mask_areas[7] == 20 * 30 + 10 * 20 / 2
    assert np.isnan(objects.extents_xyxy[8]).all()
    for row, annotation in enumerate(dataset.annotations[1]):
        if isinstance(annotation.segmentation, dict):
            x, y, width, height = coco_mask.toBbox(annotation.segmentation)
            assert objects.extents_xyxy[row].tolist() == [x, y, x + width, y + height]
            assert objects.mask_areas[row] == coco_mask.area(annotation.segmentation)


def test_real_annotations_are_consistent(shared: Path) -> None:
    for split in ("train", "val"):
        assert check_consistency(read_dataset(*split_paths(shared / "real" / "coco", split))) == []


def test_more_than_255_rles_are_measured(read: Callable[[Content], CocoDataset]) -> None:
    content = sound()
    rle = content["annotations"][1]
    content["annotations"] = [{**rle, "id": i, "area": i} for i in range(300)]
    assert len(measure(read(content).annotations, read(content).images).mask_areas) == 300
