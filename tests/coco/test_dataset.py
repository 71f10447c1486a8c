"""COCO's records as `CocoDataset` gives them; faults are told by kind, all at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from mfd.coco import ImageEntry, encode_segmentation, read_dataset, sample_evenly, split_paths
from mfd.errors import DataError
from tests.builders.annotations import TRIANGLE, annotation, content, second_image


def test_images_come_sorted_and_ids_keep_their_gaps(write: Callable[..., Any]) -> None:
    dataset = read_dataset(*write(content()))
    assert [image.image_id for image in dataset.images] == [9, 25]
    assert dataset.images[0].size_hw == (37, 53)
    assert dataset.path(dataset.images[1]) == dataset.images_dir / "b/second.png"
    assert dataset.categories == {90: "toothbrush", 1: "person"}
    assert [a.annotation_id for a in dataset.annotations[9]] == [4]
    assert 25 not in dataset.annotations
    assert not dataset.skipped


def test_a_file_without_annotations_describes_images_alone(write: Callable[..., Any]) -> None:
    test_split = content()
    del test_split["annotations"]
    dataset = read_dataset(*write(test_split))
    assert len(dataset.images) == 2
    assert not dataset.annotations


def test_a_missing_area_is_the_masks_and_a_missing_iscrowd_is_no(
    write: Callable[..., Any],
) -> None:
    bare = annotation(4)
    del bare["area"], bare["iscrowd"]
    (found,) = read_dataset(*write(content(annotations=[bare]))).annotations[9]
    assert 200 < found.area < 260
    assert found.iscrowd is False


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[]],
        [[1.0, 2.0, 3.0, 4.0]],
        [[[1.0, 2.0], [3.0, 4.0]]],
        {"size": [37, 53], "counts": [37 * 53]},
    ],
)
def test_an_object_without_a_mask_is_kept_for_its_box(
    segmentation: Any, write: Callable[..., Any]
) -> None:
    records = [annotation(4), annotation(7, segmentation=segmentation)]
    del records[0]["area"], records[1]["area"]
    with_mask, without = read_dataset(*write(content(annotations=records))).annotations[9]
    assert with_mask.has_mask
    assert not without.has_mask
    assert without.area == 18 * 27


@pytest.mark.parametrize(
    "box", [[2.0, 3.0, 0.0, 27.0], [53.0, 3.0, 5.0, 27.0], [-9.0, 3.0, 9.0, 27.0]]
)
def test_a_box_where_nothing_can_be_found_is_kept_as_cocos_code_counts_it(
    box: list[float], write: Callable[..., Any]
) -> None:
    (found,) = read_dataset(*write(content(annotations=[annotation(7, bbox=box)]))).annotations[9]
    assert found.bbox_xywh == tuple(box)


@pytest.mark.parametrize(
    "points", [[[[2, 3], [20, 5], [9, 30]]], [[2, 3], [20, 5], [9, 30]]], ids=["nested", "bare"]
)
def test_polygons_of_points_are_polygons_of_numbers(points: Any, write: Callable[..., Any]) -> None:
    (found,) = read_dataset(
        *write(content(annotations=[annotation(7, segmentation=points)]))
    ).annotations[9]
    assert found.segmentation == TRIANGLE


def test_annotation_ids_need_be_unique_within_an_image_only(write: Callable[..., Any]) -> None:
    records = [annotation(4), annotation(4, image_id=25)]
    dataset = read_dataset(*write(content(annotations=records)))
    assert [a.annotation_id for a in (*dataset.annotations[9], *dataset.annotations[25])] == [4, 4]


def test_whole_numbers_may_be_written_as_floats(write: Callable[..., Any]) -> None:
    image = {"id": 9.0, "file_name": "first.jpg", "height": 37.0, "width": 53.0}
    category = {"id": 90.0, "name": "toothbrush"}
    own = annotation(4.0, image_id=9.0, category_id=90.0)
    floats = read_dataset(*write(content(images=[image], categories=[category], annotations=[own])))
    whole = [{**image, "id": 9, "height": 37, "width": 53}]
    expected = read_dataset(*write(content(images=whole, categories=[{**category, "id": 90}])))
    assert (floats.images, floats.categories) == (expected.images, expected.categories)
    assert floats.annotations == expected.annotations
    assert type(floats.annotations[9][0].annotation_id) is int
    with pytest.raises(DataError, match="whole number"):
        read_dataset(*write(content(annotations=[annotation(4.5)])))


def test_ids_of_63_bits_stay_exact(write: Callable[..., Any]) -> None:
    images = [
        {"id": 2**63 - 1 - i, "file_name": f"{i}.jpg", "height": 37, "width": 53} for i in range(2)
    ]
    records = [annotation(2**63 - 1, image_id=2**63 - 2)]
    dataset = read_dataset(*write(content(images=images, annotations=records)))
    assert [image.image_id for image in dataset.images] == [2**63 - 2, 2**63 - 1]
    assert dataset.annotations[2**63 - 2][0].annotation_id == 2**63 - 1


FAULTY = [
    *(annotation(i, bbox=[1, 2, 3]) for i in range(10, 17)),
    annotation(20, image_id=8),
    annotation(21, image_id=8),
    annotation(30, segmentation=[[1, 2, 3, 4, 5]]),
    annotation(4),
]


def test_all_faults_are_told_at_once_by_kind(write: Callable[..., Any]) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(*write(content(annotations=[annotation(4), *FAULTY])))
    text = str(caught.value)
    assert "11 of 12 annotations cannot be used" in text
    assert "malformed bbox: 7 of 12 (annotation 10: its bbox is [1, 2, 3]" in text
    assert "annotation 14:" in text
    assert "annotation 15:" not in text
    assert "unknown image: 2 of 12 (annotation 20: its image 8 is not among the images" in text
    assert "odd number of coordinates: 1 of 12 (annotation 30:" in text
    assert "id twice in an image: 1 of 12 (annotation 4:" in text
    assert "--skip-invalid" in text


def test_invalid_annotations_can_be_skipped(write: Callable[..., Any]) -> None:
    paths = write(content(annotations=[annotation(4), *FAULTY]))
    dataset = read_dataset(*paths, skip_invalid=True)
    assert [a.annotation_id for a in dataset.annotations[9]] == [4]
    assert len(dataset.skipped) == 11
    assert [finding.count for finding in dataset.skipped_by_kind()] == [7, 2, 1, 1]
    with pytest.raises(DataError, match="none of its 11 annotations can be used"):
        read_dataset(
            *write(content(annotations=[*FAULTY[:-1], annotation("x")])), skip_invalid=True
        )


def test_faults_of_images_are_never_skipped_and_told_together(write: Callable[..., Any]) -> None:
    images = [*second_image(width=0), {"id": 30}, {"id": "x"}]
    categories = [{"id": 90}, {"name": "no id"}]
    paths = write(content(images=images, categories=categories, annotations=FAULTY))
    with pytest.raises(DataError) as caught:
        read_dataset(*paths, skip_invalid=True)
    for part in ("image 25", "image 30 has no 'height'", "'id' 'x'", "a category has no 'id'"):
        assert part in str(caught.value)


def test_boxes_that_reach_out_of_frame_and_crowds_are_kept(write: Callable[..., Any]) -> None:
    crowd = {"size": [37, 53], "counts": [40, 60, 37 * 53 - 100]}
    records = [
        annotation(1, bbox=[-3.0, -2.0, 80.0, 70.0]),
        annotation(2, iscrowd=1, segmentation=crowd),
    ]
    first, second = read_dataset(*write(content(annotations=records))).annotations[9]
    assert first.bbox_xywh == (-3.0, -2.0, 80.0, 70.0)
    assert second.iscrowd is True


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "malformed RLE": (
        {"annotations": [annotation(4, segmentation={"size": [37, 53], "counts": "oo"})]},
        "annotation 4: RLE counts are cut off",
    ),
    "mask of another image": (
        {"annotations": [annotation(4, segmentation={"size": [53, 37], "counts": [37 * 53]})]},
        "annotation 4: RLE has size",
    ),
    "dangling image": ({"annotations": [annotation(4, image_id=8)]}, "annotation 4: its image 8"),
    "dangling category": ({"annotations": [annotation(4, category_id=2)]}, "its category 2 is not"),
    "annotation twice": ({"annotations": [annotation(4), annotation(4)]}, "4: it occurs twice"),
    "annotation without id": ({"annotations": [annotation("x")]}, "whole number"),
    "broken box": ({"annotations": [annotation(4, bbox=[1, 2, 3])]}, "annotation 4: its bbox"),
    "box of NaN": ({"annotations": [annotation(4, bbox=[1, 2, 3, float("nan")])]}, "its bbox"),
    "huge area": ({"annotations": [annotation(4, area=10**400)]}, "its area"),
    "odd iscrowd": ({"annotations": [annotation(4, iscrowd=2)]}, "its iscrowd is 2"),
    "image twice": ({"images": second_image(id=9)}, "image 9 occurs twice"),
    "category twice": ({"categories": [{"id": 1}, {"id": 1}]}, "category 1 occurs twice"),
    "image without height": ({"images": second_image(height=None)}, "'height' None"),
    "image of no width": ({"images": second_image(width=0)}, "image 25 has height and width"),
    "id beyond 63 bits": ({"images": second_image(id=2**63)}, "too large"),
    "image too large for a mask": ({"images": second_image(width=2**27)}, "below 2\\*\\*31"),
    "parent folder": ({"images": second_image(file_name="a/../../b.png")}, "leaves the image"),
    "absolute path": ({"images": second_image(file_name="/etc/passwd")}, "leaves the image"),
    "Windows drive": ({"images": second_image(file_name="C:\\b.png")}, "leaves the image"),
    "Windows parent": ({"images": second_image(file_name="..\\b.png")}, "leaves the image"),
    "UNC path": ({"images": second_image(file_name="\\\\host\\b.png")}, "leaves the image"),
    "the folder itself": ({"images": second_image(file_name="a/..")}, "leaves the image"),
    "half a character": ({"images": second_image(file_name="\ud800.png")}, "half a character"),
    "NUL": ({"images": second_image(file_name="a\0b")}, "expected a path"),
    "no file name": ({"images": second_image(file_name=7)}, "image 25 has file_name 7"),
    "no images": ({"images": None}, "no list of objects 'images'"),
    "annotations as a dictionary": ({"annotations": {}}, "no list of objects 'annotations'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_naming_file_and_record(
    case: str, write: Callable[..., Any]
) -> None:
    fields, problem = REFUSED[case]
    with pytest.raises(DataError, match=problem) as caught:
        read_dataset(*write(content(**fields)))
    assert "instances.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_annotations_are_all_kept_and_their_masks_are_pycocotools_own(shared: Path) -> None:
    annotations_file, images_dir = split_paths(shared / "real" / "coco", "val")
    dataset = read_dataset(annotations_file, images_dir)
    coco = COCO(annotations_file)
    assert [image.image_id for image in dataset.images] == sorted(coco.imgs)
    assert not dataset.skipped
    sizes = {image.image_id: image.size_hw for image in dataset.images}
    ours = [a for found in dataset.annotations.values() for a in found]
    assert {a.annotation_id for a in ours} == set(coco.anns)
    for a in ours[::7]:
        expected = coco.annToRLE(coco.anns[a.annotation_id])
        assert encode_segmentation(a.segmentation, sizes[a.image_id]) == expected


def test_a_sample_spreads_over_the_images_and_is_no_larger_than_asked_for() -> None:
    images = [ImageEntry(i, f"{i}.jpg", (3, 5)) for i in range(11)]
    assert [entry.image_id for entry in sample_evenly(images, 3)] == [0, 3, 7]
    assert [entry.image_id for entry in sample_evenly(images, 6)] == [0, 1, 3, 5, 7, 9]
    assert sample_evenly(images, 99) == images
    assert sample_evenly([], 3) == []


def test_images_named_by_address_lie_in_their_folder(tmp_path: Path) -> None:
    """As LVIS names them: by folder and file of COCO's."""
    image = {"id": 4, "height": 3, "width": 5, "coco_url": "http://host/some/val2017/04.jpg"}
    file = tmp_path / "lvis.json"
    file.write_text(json.dumps({"images": [image], "categories": []}))
    (entry,) = read_dataset(file, tmp_path).images
    assert entry.file_name == "val2017/04.jpg"


@pytest.mark.parametrize("ids", [3, ["a"], [True]])
def test_categories_looked_for_that_are_none_are_refused(ids: object, tmp_path: Path) -> None:
    image = {"id": 4, "height": 3, "width": 5, "file_name": "a.jpg", "neg_category_ids": ids}
    file = tmp_path / "lvis.json"
    file.write_text(json.dumps({"images": [image], "categories": []}))
    with pytest.raises(DataError, match=r"image 4 has neg_category_ids .* list of category ids"):
        read_dataset(file, tmp_path)
