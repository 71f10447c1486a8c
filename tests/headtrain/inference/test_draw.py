import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mfd.headtrain.inference.draw import Instance, draw_instances


def instance(mask: np.ndarray, label: str = "") -> Instance:
    return Instance(mask_utils.encode(np.asfortranarray(mask.astype(np.uint8))), label)


def rectangle(size_hw: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return mask


def grey(size_hw: tuple[int, int]) -> np.ndarray:
    return np.full((*size_hw, 3), 128, np.uint8)


def test_only_the_mask_its_outline_and_its_label_are_coloured() -> None:
    size_hw = (450, 607)
    mask = rectangle(size_hw, slice(200, 330), slice(100, 301))

    drawn = np.asarray(draw_instances(grey(size_hw), [instance(mask)])).astype(int)

    changed = (drawn != 128).any(-1)
    assert changed[mask].all()
    around = rectangle(size_hw, slice(180, 350), slice(80, 321))
    assert not changed[~around].any()
    inside, edge = drawn[265, 200], drawn[265, 100]
    assert np.ptp(edge) > np.ptp(inside) > 50  # a stronger colour at the outline


def test_the_image_without_instances_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (411, 403, 3), np.uint8)

    assert (np.asarray(draw_instances(image, [])) == image).all()


def test_empty_masks_are_left_out() -> None:
    empty = instance(np.zeros((411, 403), bool), "nothing 0.50")

    assert (np.asarray(draw_instances(grey((411, 403)), [empty])) == 128).all()


def test_small_images_are_magnified_until_labels_are_legible() -> None:
    mask = rectangle((31, 47), slice(8, 20), slice(5, 30))

    picture = draw_instances(grey((31, 47)), [instance(mask)])

    assert picture.size == (47 * 13, 31 * 13)
    changed = (np.asarray(picture) != 128).any(-1)
    assert changed[13 * 9 : 13 * 19, 13 * 6 : 13 * 29].all()
    assert not changed[: 13 * 7].any()


def test_a_small_mask_is_drawn_over_a_large_one() -> None:
    size_hw = (420, 500)
    large = instance(rectangle(size_hw, slice(50, 400), slice(50, 450)))
    small = instance(rectangle(size_hw, slice(200, 240), slice(200, 240)))

    pictures = [
        np.asarray(draw_instances(grey(size_hw), order)).astype(int)
        for order in ([large, small], [large])
    ]

    assert np.abs(pictures[0] - pictures[1])[205:235, 205:235].max(-1).min() > 30
    assert (pictures[0] == pictures[1])[260:390, 60:440].all()


def test_neighbouring_instances_differ_in_colour() -> None:
    size_hw = (410, 800)
    masks = [rectangle(size_hw, slice(100, 300), slice(x, x + 90)) for x in range(0, 800, 100)]

    drawn = np.asarray(draw_instances(grey(size_hw), [instance(m) for m in masks])).astype(int)

    colours = drawn[200, 45::100]
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(8, dtype=int)
    assert apart.min() > 40


@pytest.mark.parametrize("corner", ["top left", "bottom right"])
def test_labels_stay_inside_the_picture_and_apart(corner: str) -> None:
    size_hw = (430, 640)
    rows = slice(0, 12) if "top" in corner else slice(418, 430)
    columns = slice(0, 12) if "left" in corner else slice(628, 640)
    spot = rectangle(size_hw, rows, columns)

    counts = []
    for labels in (["refrigerator 0.87"], ["refrigerator 0.87"] * 3):
        image = draw_instances(grey(size_hw), [instance(spot, label) for label in labels])
        counts.append(int((np.asarray(image) != 128).any(-1).sum()))
    without = int(
        (np.asarray(draw_instances(grey(size_hw), [instance(spot)])) != 128).any(-1).sum()
    )

    assert counts[0] - without > 1000  # the label is there, whole
    assert counts[1] - without > 2.5 * (counts[0] - without)  # and three do not hide each other
