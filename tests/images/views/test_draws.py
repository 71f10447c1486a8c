"""Views are drawn per image, with the shares and sizes of their sources, and fit every detector."""

import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from mfd.images import LoadedImage, Preprocessing, input_size, parse_view
from tests.builders.pixels import noise
from tests.builders.views import FIXED, HW, NAMES, SIDES, drawn


def share(hits: object) -> float:
    return float(np.mean(hits))


def deviations(probability: float, count: int) -> float:
    """Four standard deviations of a share."""
    return 4 * (probability * (1 - probability) / count) ** 0.5


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
