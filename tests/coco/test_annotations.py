"""Columns of annotations against the objects that they were made of."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from mfd.coco import Annotation, Annotations, encode_segmentation

SIZE_HW = (37, 53)
RUNS = [99, 400, 1462]


def objects() -> list[Annotation]:
    """Of several images in turn: one or two polygons, an RLE, a crowd, none."""
    triangle, square = [2.0, 3.25, 20.0, 5.0, 9.0, 30.1], [1.5, 1, 8, 1, 8, 9, 1, 9]
    rle = encode_segmentation({"size": list(SIZE_HW), "counts": RUNS}, SIZE_HW)
    masks = [[triangle], None, rle, [square, triangle], None, [square]]
    return [
        Annotation(10 - i, image_id, 3 + i % 2, (0.1 * i, 2.0, 8.5, 9.0), 7.5 + i, i == 2, mask)
        for i, (image_id, mask) in enumerate(zip([8, 2, 8, 2, 5, 8], masks, strict=True))
    ]


@pytest.mark.parametrize("rows", [[], [0, 1, 2, 3, 4, 5], [5, 1, 3], [2], [1, 4]], ids=str)
def test_annotations_of_an_image_are_the_objects_in_their_order(rows: list[int]) -> None:
    expected = defaultdict[int, tuple[Annotation, ...]](tuple)
    for row in rows:
        expected[objects()[row].image_id] += (objects()[row],)
    found = Annotations.of(objects()[row] for row in rows)
    for each in (found, Annotations.of(objects()).take(np.array(rows, np.int64))):
        assert each == expected
        assert list(each) == list(expected)
        assert all(image_id in each for image_id in expected)
        assert 99 not in each
        assert each.has_mask.tolist() == [objects()[row].has_mask for row in rows]


def test_an_rle_of_runs_becomes_the_compressed_one() -> None:
    listed = replace(objects()[2], segmentation={"size": list(SIZE_HW), "counts": RUNS})
    assert Annotations.of([listed])[8] == (objects()[2],)


def test_annotations_of_some_images_and_in_other_categories() -> None:
    found = Annotations.of(objects())
    some = [each for each in objects() if each.image_id in (2, 5)]
    assert found.of_images([5, 2, 77]) == Annotations.of(some)
    assert found.of_images({8, 5, 2}) is found
    assert not found.of_images([])
    changed = [replace(each, category_id={3: -1, 4: 4}[each.category_id]) for each in objects()]
    assert found.renumbered({3: -1, 90: 7}) == Annotations.of(changed)
    assert found == Annotations.of(objects())
