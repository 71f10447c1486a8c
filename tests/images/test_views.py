"""Views show the pixels where their map says, are drawn per image, and fit every detector."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from mfd.errors import ConfigError, StoreError
from mfd.images import (
    LoadedImage,
    Placement,
    Preprocessing,
    input_size,
    map_boxes,
    map_points,
    parse_view,
    prepare_image,
    view_boxes,
)
from tests.builders.masks import cell_means, crop_of

SIDES = Preprocessing(shorter_side=240, longer_side=400)
FIXED = Preprocessing(size_hw=(150, 210))
NAMES = ("base", "flip", "ms:0", "ms:1", "ms:2", "ms:3", "lsj:0", "lsj:1", "lsj:2", "lsj:3")
EVERY = [*product(NAMES, (SIDES, FIXED))]
HW = (139, 201)


def raw(preprocessing: Preprocessing) -> Preprocessing:
    """The same sizes; pixels stay in [0, 1]."""
    return replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def show(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """A mask of 0 and 1 in the pixels of the view."""
    rgb = Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2))
    return placement.apply(rgb, raw(SIDES)).pixels[0].numpy()


def pixel_centres(hw: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    return np.stack((columns, rows), -1) + 0.5


def share(hits: object) -> float:
    return float(np.mean(hits))


def deviations(probability: float, count: int) -> float:
    """Four standard deviations of a share."""
    return 4 * (probability * (1 - probability) / count) ** 0.5


def drawn(
    name: str, count: int, preprocessing: Preprocessing, hw: tuple[int, int] = HW
) -> list[Placement]:
    return [parse_view(name).draw(i, hw, preprocessing) for i in range(count)]


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
    box, flipped = placement.to_original(tuple(there[0]))
    np.testing.assert_allclose(box, boxes[0], rtol=0, atol=1e-10)
    assert flipped == placement.flip == (placement.matrix[0, 0] < 0)


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
        (box,), (left,) = view_boxes(np.array([[x, y, wide, high]], float), placement)
        shown = show(mask, placement) >= 0.5
        assert shown.any() == (left > 0)
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
        original_box, reverse = placement.to_original(box)
        cells = crop_of(mask, original_box, 9)
        cells = cells[:, ::-1] if reverse else cells
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
    original_box, reverse = placement.to_original(box)
    low, middle, high = (
        cell_means(m, original_box, 7)[:, :: -1 if reverse else 1] for m in (least, mask, largest)
    )
    found = cell_means(in_view, box, 7) / 255
    rounding = 1 / 255 + 1e-9
    assert ((low - rounding <= found) & (found <= high + rounding)).all()
    assert abs(found - middle).mean() < 0.05
    assert 0.1 < found.mean() < 1


def test_what_is_left_of_a_box_is_its_share_inside_the_view() -> None:
    placement = Placement((100, 200), True, (200, 400), (100, 50, 200, 100), (50, 100), (60, 100))
    assert placement.window_xyxy == (50, 25, 150, 75)
    boxes = np.array(
        [[60, 30, 10, 20], [40, 30, 20, 20], [0, 0, 200, 100], [0, 0, 9, 9], [70, 40, 0, 5]], float
    )
    found, left = view_boxes(boxes, placement)
    np.testing.assert_allclose(left, [1, 0.5, 0.25, 0, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[0], [80, 5, 90, 25], rtol=0, atol=1e-12)  # 150 - 70, 150 - 60
    np.testing.assert_allclose(found[1], [90, 5, 100, 25], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[2], [0, 0, 100, 50], rtol=0, atol=1e-12)
    assert [array.shape for array in view_boxes(np.zeros((0, 4)), placement)] == [(0, 4), (0,)]


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


@pytest.mark.parametrize("name", ["ms:5", "lsj:5"])
def test_draws_depend_on_seed_and_image_id_alone(name: str) -> None:
    ids = [0, 1, -1, 7, 2**32, 2**52]
    view = parse_view(name)
    here = [view.draw(i, HW, SIDES) for i in ids]
    assert here == [parse_view(name).draw(i, HW, SIDES) for i in reversed(ids)][::-1]
    assert len({repr(placement) for placement in here}) == len(ids)
    code = (
        "from mfd.images import *;"
        f"print([parse_view({name!r}).draw(i, {HW}, {SIDES}).to_json() for i in {ids}])"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(elsewhere.stdout) == [placement.to_json() for placement in here]
    other = parse_view(name.replace("5", "6"))
    assert [other.draw(i, HW, SIDES) for i in ids] != here


def test_draws_differ_by_epoch_and_without_a_seed_by_call() -> None:
    seeded, free = parse_view("lsj:5"), parse_view("lsj")
    by_epoch = [seeded.draw(7, HW, SIDES, epoch=epoch) for epoch in (None, 0, 1, 2)]
    assert len(set(by_epoch)) == 4
    assert by_epoch == [seeded.draw(7, HW, SIDES, epoch=epoch) for epoch in (None, 0, 1, 2)]
    assert len({free.draw(7, HW, SIDES) for _ in range(9)}) > 1
    assert seeded.repeatable
    assert not free.repeatable


def test_draws_stay_as_they_are_for_stores_made_before() -> None:
    ms, lsj = (parse_view(name).draw(11, (426, 640), Preprocessing()) for name in ("ms:0", "lsj:0"))
    assert ms.to_json() == [1, 426, 640, 400, 600, 19, 1, 496, 389, 576, 734, 576, 734]
    assert lsj.to_json() == [1, 426, 640, 1157, 1737, 258, 280, 1201, 800, 800, 1201, 800, 1201]


def test_ms_has_the_shares_and_sizes_of_deformable_detr() -> None:
    hw = (480, 640)
    placements = drawn("ms:0", 4000, Preprocessing(), hw)
    whole = [p for p in placements if p.crop_xywh == (0, 0, *p.resized_hw[::-1])]
    cropped = [p for p in placements if p.crop_xywh != (0, 0, *p.resized_hw[::-1])]
    assert abs(share([p.flip for p in placements]) - 0.5) < deviations(0.5, 4000)
    assert abs(len(whole) / len(placements) - 0.5) < deviations(0.5, 4000)
    sides = [480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800]
    assert sorted({p.input_hw[0] for p in whole}) == sides
    for side in sides:
        found = share([p.input_hw[0] == side for p in whole])
        assert abs(found - 1 / 11) < deviations(1 / 11, len(whole))
        assert input_size(hw, Preprocessing(shorter_side=side)) in {p.input_hw for p in whole}
    assert sorted({p.resized_hw for p in cropped}) == [(400, 533), (500, 666), (600, 800)]
    assert sorted({min(p.input_hw) for p in cropped}) == sides
    left, top, wide, high = np.array([p.crop_xywh for p in cropped]).T
    assert (wide.min(), wide.max(), high.min(), high.max()) == (384, 600, 384, 600)
    assert (left.min(), top.min()) == (0, 0)
    right_most = [p.crop_xywh[0] + p.crop_xywh[2] == p.resized_hw[1] for p in cropped]
    assert 0 < share(right_most) < 0.05  # one position in about 100
    for p in cropped:  # the crop keeps its shape but for the resize's rounding
        ratio = p.content_hw[0] / p.content_hw[1] / (p.crop_xywh[3] / p.crop_xywh[2])
        assert abs(ratio - 1) < 1 / 480


def test_lsj_scales_from_a_tenth_to_twice_the_target() -> None:
    target = input_size((480, 640), Preprocessing())
    placements = drawn("lsj:0", 4000, Preprocessing(), (480, 640))
    assert abs(share([p.flip for p in placements]) - 0.5) < deviations(0.5, 4000)
    scales = np.array([p.resized_hw for p in placements]) / target
    assert abs(scales[:, 0] - scales[:, 1]).max() < 1 / 800
    quarters = np.quantile(scales[:, 0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quarters, [0.1, 0.575, 1.05, 1.525, 2], atol=0.05)
    for p in placements:
        assert p.content_hw == p.input_hw == tuple(map(min, p.resized_hw, target))
        assert p.crop_xywh[2:] == p.content_hw[::-1]  # not resized after the crop
    left = np.array(
        [p.crop_xywh[0] / (p.resized_hw[1] - 1066) for p in placements if p.resized_hw[1] > 1100]
    )
    np.testing.assert_allclose(np.quantile(left, [0, 0.5, 1]), [0, 0.5, 1], atol=0.05)


def test_sides_of_ms_are_in_proportion_to_the_detectors() -> None:
    """A detector of half the sides sees half the sizes, from the same draws."""
    half = Preprocessing(shorter_side=400, longer_side=667)
    for full, small in zip(
        drawn("ms:0", 50, Preprocessing()), drawn("ms:0", 50, half), strict=True
    ):
        assert full.flip == small.flip
        np.testing.assert_allclose(small.input_hw, np.array(full.input_hw) / 2, rtol=0.01)
        sizes = np.array([full.resized_hw[1], full.resized_hw[0]] * 2)
        half_sizes = np.array([small.resized_hw[1], small.resized_hw[0]] * 2)
        where = np.array(full.crop_xywh) / sizes
        np.testing.assert_allclose(np.array(small.crop_xywh) / half_sizes, where, atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_input_of_a_fixed_size_keeps_it(name: str) -> None:
    placements = drawn(name, 50, FIXED)
    assert {p.input_hw for p in placements} == {FIXED.size_hw}
    if name.startswith("ms"):
        windows = np.array([p.window_xyxy for p in placements])
        shares = (windows[:, 2:] - windows[:, :2]) / HW[::-1]
        assert shares.min() > 384 / 600 - 0.01
        assert 0.3 < share(shares.min(1) < 0.99) < 0.7


@pytest.mark.parametrize("preprocessing", [Preprocessing(), SIDES, FIXED, Preprocessing(7, 9)])
@pytest.mark.parametrize("name", ["base", "flip", "ms:0", "lsj:0"])
def test_maximum_size_is_never_exceeded(name: str, preprocessing: Preprocessing) -> None:
    view, random = parse_view(name), np.random.default_rng(0)
    sizes = [(37, 1001), (1, 5), (5, 1), (600, 600), (1, 9000)]
    sizes += [tuple(map(int, random.integers(20, 1500, 2))) for _ in range(20)]
    for hw in sizes:
        found = np.array([view.draw(i, hw, preprocessing).input_hw for i in range(200)]).max(0)
        limit = view.max_input_hw(preprocessing, hw)
        assert (found <= limit).all(), (hw, found, limit)
        assert (found * 1.25 + 1 >= limit).all(), (hw, found, limit)


@pytest.mark.parametrize("preprocessing", [SIDES, FIXED, Preprocessing(size_hw=(7, 3))])
@pytest.mark.parametrize("hw", [(37, 1001), (1001, 37), (1, 5), (5, 1), (1, 1), (2, 900)])
def test_odd_images_have_every_view(hw: tuple[int, int], preprocessing: Preprocessing) -> None:
    rgb = Image.fromarray(noise(*hw, 3))
    for name, image_id in product(("base", "flip", "ms:0", "lsj:0"), range(20)):
        placement = parse_view(name).draw(image_id, hw, preprocessing)
        loaded = placement.apply(rgb, preprocessing)
        assert isinstance(loaded, LoadedImage)
        assert (loaded.input_hw, loaded.original_hw) == (placement.input_hw, hw)
        assert loaded.pixels.dtype == torch.float32
        assert loaded.pixels.isfinite().all()
        assert loaded.pixels.is_contiguous()


@pytest.mark.parametrize(("name", "preprocessing"), EVERY)
def test_placement_survives_json(name: str, preprocessing: Preprocessing) -> None:
    placement = parse_view(name).draw(3, HW, preprocessing)
    text = json.dumps(placement.to_json())
    assert Placement.from_json(json.loads(text)) == placement
    assert len(text) < 80


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),
        (0, True),
        (1, 0),
        (3, 36),
        (5, 1),
        (8, 38),
        (9, 0),
        (9, 71),
        (12, 90),
        (4, 2.0),
        (4, "53"),
        (6, -1),
    ],
)
def test_placement_that_does_not_fit_together_is_refused(place: int, value: object) -> None:
    values: list[object] = [0, 37, 53, 37, 53, 0, 0, 53, 37, 70, 91, 70, 91]
    assert Placement.from_json(values).content_hw == (70, 91)
    values[place] = value
    with pytest.raises(StoreError, match="expected 13 whole numbers that fit together"):
        Placement.from_json(values)
    for other in (values[:-1], None, 7, {}):
        with pytest.raises(StoreError, match="expected 13 whole numbers"):
            Placement.from_json(other)


@pytest.mark.parametrize("name", [*NAMES, "ms", "lsj", "lsj:999999999"])
def test_view_is_known_by_its_name(name: str) -> None:
    assert parse_view(name).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Base",
        "flip:1",
        "base:0",
        "ms:",
        "ms:-1",
        "ms:1.5",
        "ms:²",
        "ms:1\n",
        "crop:3",
        "ms:10000000000",
    ],
)
def test_unknown_views_are_refused_naming_the_known(text: str) -> None:
    with pytest.raises(ConfigError, match="known: base, flip, ms:SEED, lsj:SEED"):
        parse_view(text)
