"""Views show the pixels, boxes and masks where their map says."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from mfd.images import Placement, Preprocessing, map_boxes, parse_view, prepare_image
from mfd.images.views.affine import map_points
from tests.builders.masks import cell_means, crop_of
from tests.builders.pixels import noise
from tests.builders.views import EVERY, FIXED, HW, SIDES, drawn, raw, show


def pixel_centres(hw: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    return np.stack((columns, rows), -1) + 0.5


@pytest.mark.parametrize("preprocessing", [Preprocessing(), SIDES, FIXED])
@pytest.mark.parametrize("hw", [HW, (37, 1001), (240, 240), (1, 5)])
def test_base_is_the_detectors_own_input_bit_for_bit(
    preprocessing: Preprocessing, hw: tuple[int, int]
) -> None:
    rgb = Image.fromarray(noise(*hw, 3))
    found = parse_view("base").draw(7, hw, preprocessing).apply(rgb, preprocessing)
    expected = prepare_image(rgb, preprocessing)
    assert torch.equal(found.pixels, expected.pixels)
    assert found.original_hw == expected.original_hw == hw


@pytest.mark.parametrize("preprocessing", [SIDES, FIXED])
def test_flip_is_the_detectors_input_of_the_mirrored_image(preprocessing: Preprocessing) -> None:
    pixels = noise(*HW, 3)
    placement = parse_view("flip").draw(7, HW, preprocessing)
    found = placement.apply(Image.fromarray(pixels), preprocessing)
    mirrored = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]))
    assert torch.equal(found.pixels, prepare_image(mirrored, preprocessing).pixels)


def test_flip_twice_is_the_image_itself() -> None:
    same = Preprocessing(size_hw=HW)
    once = parse_view("flip").draw(0, HW, same)
    points = np.random.default_rng(0).uniform(-9, 209, (50, 2))
    twice = map_points(once.matrix, map_points(once.matrix, points))
    np.testing.assert_allclose(twice, points, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_map_there_and_back_is_the_identity(name: str, preprocessing: Preprocessing) -> None:
    placement = parse_view(name).draw(3, HW, preprocessing)
    random = np.random.default_rng(0)
    points = random.uniform(-50, 300, (40, 2))
    boxes = np.concatenate((points, points + random.uniform(0, 90, (40, 2))), 1)
    there = map_boxes(placement.matrix, boxes)
    assert (there[:, :2] <= there[:, 2:]).all()
    back = map_points(placement.inverse, map_points(placement.matrix, points))
    np.testing.assert_allclose(back, points, rtol=0, atol=1e-10)
    np.testing.assert_allclose(map_boxes(placement.inverse, there), boxes, rtol=0, atol=1e-10)
    assert placement.flip == (placement.matrix[0, 0] < 0)


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_pixels_are_where_the_map_says(name: str, preprocessing: Preprocessing) -> None:
    """Red holds each pixel's column and green its row; PIL rounds them to whole numbers."""
    placement = parse_view(name).draw(3, HW, preprocessing)
    rows, columns = np.mgrid[: HW[0], : HW[1]].astype(np.uint8)
    rgb = Image.fromarray(np.stack((columns, rows, rows), -1))
    pixels = placement.apply(rgb, raw(preprocessing)).pixels.numpy() * 255
    height, width = placement.content_hw
    shown = np.moveaxis(pixels[:2, :height, :width], 0, -1)  # (H, W, 2): x and y
    expected = map_points(placement.inverse, pixel_centres(placement.content_hw)) - 0.5
    reach = np.maximum(abs(placement.inverse.diagonal()), 1)  # of the filter, original pixels
    inside = (expected >= reach - 1) & (expected <= np.array(HW[::-1]) - reach)
    assert inside.all(-1).mean() > 0.5
    error = abs(shown - expected)[inside.all(-1)]
    assert error.max() <= 0.5 + 1e-3  # and the rounding of PIL's fixed-point weights


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_boxes_through_the_map_bound_the_mask_in_the_view(
    name: str, preprocessing: Preprocessing
) -> None:
    """An edge between pixels is where a bilinear resize passes one half, to half a pixel."""
    placement = parse_view(name).draw(3, HW, preprocessing)
    for x, y, wide, high in [(23, 31, 60, 70), (90, 20, 70, 91), (130, 50, 71, 70)]:
        mask = np.zeros(HW, np.uint8)
        mask[y : y + high, x : x + wide] = 1
        box = map_boxes(placement.matrix, np.array([x, y, x + wide, y + high], float))
        box = box.clip(0, [*placement.content_hw[::-1]] * 2)
        shown = show(mask, placement) >= 0.5
        assert shown.any() == ((box[2:] - box[:2]).prod() > 0)
        if min(box[2:] - box[:2]) <= 1:
            continue
        rows, columns = shown.any(1).nonzero()[0], shown.any(0).nonzero()[0]
        bounds = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        # one half moves by the rounding to 8 bits, at most 1 / 255 of a pixel that is 1 wide
        zoom = max(1, abs(placement.matrix[:, :2]).max())
        np.testing.assert_allclose(bounds, box, rtol=0, atol=0.5 + 2 * zoom / 255)


@pytest.mark.parametrize("flip", [False, True])
def test_cells_cut_through_the_map_are_those_of_the_view(flip: bool) -> None:
    """With whole pixels trebled the mask in the view is exact, and so must the cells be."""
    mask = (np.random.default_rng(0).random((37, 53)) < 0.5).astype(np.uint8)
    placement = Placement((37, 53), flip, (111, 159), (10, 7, 80, 95), (95, 80), (95, 80))
    flipped = mask[:, ::-1] if flip else mask
    in_view = flipped.repeat(3, 0).repeat(3, 1)[7:102, 10:90]
    random = np.random.default_rng(1)
    for _ in range(20):
        left, top = random.uniform(0, (60, 70))
        box = (left, top, random.uniform(left + 1, 80), random.uniform(top + 1, 95))
        original_box = map_boxes(placement.inverse, np.array(box))
        cells = crop_of(mask, tuple(original_box), 9)
        cells = cells[:, ::-1] if flip else cells
        np.testing.assert_allclose(cells, cell_means(in_view, box, 9), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_cells_cut_through_the_map_agree_with_a_resized_mask(
    name: str, preprocessing: Preprocessing
) -> None:
    """A resized pixel mixes originals within the filter's reach, so cells lie between those of
    the mask eroded and dilated by that reach."""
    placement = parse_view(name).draw(3, HW, preprocessing)
    y, x = np.mgrid[: HW[0], : HW[1]]
    mask = (((x - 105) / 61) ** 2 + ((y - 70) / 43) ** 2 < 1).astype(np.uint8)
    in_view = (show(mask, placement) * 255).round()
    # half a pixel of the view, and the triangle's half base: one pixel, or one of the view
    pixel = abs(placement.inverse.diagonal())
    size = 2 * np.ceil(pixel / 2 + np.maximum(pixel, 1)).astype(int)[::-1] + 1
    least = ndimage.grey_erosion(mask, size, mode="nearest")
    largest = ndimage.grey_dilation(mask, size, mode="nearest")
    height, width = placement.content_hw
    box = (0.07 * width, 0.11 * height, 0.93 * width, 0.83 * height)
    original_box = tuple(map_boxes(placement.inverse, np.array(box)))
    low, middle, high = (
        cell_means(m, original_box, 7)[:, :: -1 if placement.flip else 1]
        for m in (least, mask, largest)
    )
    found = cell_means(in_view, box, 7) / 255
    rounding = 1 / 255 + 1e-9
    assert ((low - rounding <= found) & (found <= high + rounding)).all()
    assert abs(found - middle).mean() < 0.05
    assert 0.1 < found.mean() < 1


def test_the_window_is_the_part_of_the_image_that_the_view_shows() -> None:
    placement = Placement((100, 200), True, (200, 400), (100, 50, 200, 100), (50, 100), (60, 100))
    assert placement.window_xyxy == (50, 25, 150, 75)
    box = map_boxes(placement.matrix, np.array([60.0, 30, 70, 50]))
    np.testing.assert_allclose(box, [80, 5, 90, 25], rtol=0, atol=1e-12)  # 150 - 70, 150 - 60


def test_padding_is_zero_after_normalisation() -> None:
    view = parse_view("lsj:0")
    padded = [p for p in drawn("lsj:0", 20, FIXED) if p.content_hw != p.input_hw]
    assert padded
    rgb = Image.fromarray(noise(*HW, 3))
    for placement in padded:
        height, width = placement.content_hw
        pixels = placement.apply(rgb, FIXED).pixels
        assert tuple(pixels.shape[1:]) == (150, 210)
        assert not pixels[:, height:].any()
        assert not pixels[:, :, width:].any()
        assert pixels[:, :height, :width].any()
    assert all(p.content_hw == p.input_hw for p in (view.draw(i, HW, SIDES) for i in range(20)))
