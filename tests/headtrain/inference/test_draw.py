import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mfd.errors import ConfigError
from mfd.headtrain.inference import draw
from mfd.headtrain.inference.draw import Instance, _freest, draw_instances


def instance(mask: np.ndarray, label: str = "") -> Instance:
    return Instance(mask_utils.encode(np.asfortranarray(mask.astype(np.uint8))), label)


def rectangle(size_hw: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return mask


def grey(size_hw: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size_hw[::-1], (128, 128, 128))


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

    assert (np.asarray(draw_instances(Image.fromarray(image), [])) == image).all()


def test_empty_masks_are_left_out() -> None:
    empty = instance(np.zeros((411, 403), bool), "nothing 0.50")

    assert (np.asarray(draw_instances(grey((411, 403)), [empty])) == 128).all()


def test_the_picture_has_the_images_size_or_a_multiple() -> None:
    mask = rectangle((31, 47), slice(8, 20), slice(5, 30))

    assert draw_instances(grey((31, 47)), [instance(mask)]).size == (47, 31)
    picture = draw_instances(grey((31, 47)), [instance(mask)], scale=13)

    assert picture.size == (47 * 13, 31 * 13)
    changed = (np.asarray(picture) != 128).any(-1)
    assert changed[13 * 9 : 13 * 19, 13 * 6 : 13 * 29].all()
    assert not changed[: 13 * 7].any()


def test_the_image_is_not_drawn_into() -> None:
    image = grey((31, 47))
    draw_instances(image, [instance(np.ones((31, 47), bool), "cat")])

    assert (np.asarray(image) == 128).all()


@pytest.mark.parametrize(("size_hw", "scale"), [((9, 9), 0), ((9, 9), 17), ((5000, 4000), 4)])
def test_a_scale_out_of_range_is_refused(size_hw: tuple[int, int], scale: int) -> None:
    with pytest.raises(ConfigError, match="scale"):
        draw_instances(grey(size_hw), [], scale)


def test_memory_of_a_thin_image_is_bounded() -> None:
    thin = instance(rectangle((6000, 1), slice(50, 4000), slice(0, 1)), "pole 0.87")
    tracemalloc.start()
    picture = draw_instances(grey((6000, 1)), [thin])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert picture.size == (1, 6000)
    assert peak < 2e7


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


def test_labels_are_shortened_or_left_out_where_they_do_not_fit() -> None:
    long = "a category with a very long name of its own 0.87"
    spot = rectangle((60, 90), slice(30, 40), slice(30, 40))

    without, short, full = (
        np.asarray(draw_instances(grey(size_hw), [instance(m, label)])).astype(int)
        for size_hw, m, label in (
            ((60, 90), spot, ""),
            ((60, 90), spot, long),
            ((7, 7), np.ones((7, 7), bool), long),
        )
    )

    assert (without != short).any(-1).sum() > 400  # something is written
    plain = np.asarray(draw_instances(grey((7, 7)), [instance(np.ones((7, 7), bool))]))
    assert (full == plain).all()


def test_labels_of_other_scripts_differ() -> None:
    spot = rectangle((300, 400), slice(100, 200), slice(100, 250))
    for a, b in (("аб", "вг"), ("猫犬", "鳥魚")):  # noqa: RUF001
        first, second = (draw_instances(grey((300, 400)), [instance(spot, t)]) for t in (a, b))
        assert (np.asarray(first) != np.asarray(second)).any()


def test_a_label_without_a_free_place_covers_as_little_as_it_can() -> None:
    places = [(0, 0, 10, 4), (5, 0, 15, 4), (12, 0, 22, 4), (12, 2, 22, 6)]
    assert _freest(places, []) == places[0]
    assert _freest(places, [(0, 0, 4, 4)]) == places[1]  # the first of the free ones
    assert _freest(places, [(0, 0, 14, 4), (20, 0, 30, 9)]) == places[3]  # 12 pixels, not 16


@pytest.mark.parametrize(("top", "is_tied"), [(500, True), (330, False)])
def test_a_label_that_had_to_go_far_away_is_tied_to_its_mask(
    top: int, is_tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_hw = (600, 640)
    spot = instance(rectangle(size_hw, slice(300, 340), slice(300, 340)), "car 0.87")

    def only_place(_: object, label_wh: tuple[int, int], __: object) -> list[tuple[int, ...]]:
        return [(290, top, 290 + label_wh[0], top + label_wh[1])]

    monkeypatch.setattr(draw, "_places", only_place)
    changed = (np.asarray(draw_instances(grey(size_hw), [spot])) != 128).any(-1)

    between = changed[360:490]  # of mask and far label
    assert between.any(1).all() == is_tied
    assert between.sum(1).max() < 10  # a thin line
